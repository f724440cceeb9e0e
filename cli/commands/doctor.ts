/** `flatnet doctor`: examines the machine for what goes wrong in practice, and prints each fix. */

import { nftTemplate } from '../../conf/templates.ts'
import { version } from '../../conf/version.ts'
import { formatPrefix } from '../../core/addr.ts'
import { command } from '../command.ts'
import type { Finding, Subject } from '../doctor/check.ts'
import { CHECKS } from '../doctor/checks.ts'
import type { Host } from '../host/host.ts'
import { demandNamed, findPlaces, type PlaceOptions, placeOptions } from '../host/places.ts'
import { pluginDirs } from '../host/podman-conf.ts'
import { removedNetworks } from '../install/manifest.ts'
import { counted, type Io, printJson, printLine, widthOf, wrap } from '../ui/output.ts'

type DoctorOptions = PlaceOptions & { cniBinDir?: string | undefined }

function subjectOf(host: Host, options: DoctorOptions): Subject {
  demandNamed(host, options.config)
  const places = findPlaces(host, options)
  const { networks } = places
  return {
    host,
    places,
    bridges: [...new Set(networks.flatMap((n) => (n.conf.role === 'plugin' ? [n.conf.bridge] : [])))],
    supernets: [...new Set(networks.map((n) => formatPrefix(n.conf.ipam.supernet)))],
    pluginDirs: {
      cni: options.cniBinDir === undefined ? pluginDirs(host, 'cni') : [options.cniBinDir],
      netavark: pluginDirs(host, 'netavark'),
    },
    removedNetworks: removedNetworks(host, options.config),
    nftTemplate: nftTemplate(),
    version: version(),
  }
}

/**
 * One check after the other, so that earlier findings can be read while a later check waits for a program that hangs.
 */
async function* examine(host: Host, options: DoctorOptions): AsyncGenerator<readonly Finding[]> {
  const subject = subjectOf(host, options)
  for (const check of CHECKS) yield await check.run(subject)
}

const MARK = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL' } as const

function printFinding(io: Io, { state, what, why, fix }: Finding): void {
  const width = widthOf(io)
  printLine(io, wrap(what, '      ', width).replace(/^ {6}/, `${MARK[state]}  `))
  if (why !== undefined) printLine(io, wrap(`why: ${why}`, '        ', width))
  // A command that is broken over two lines cannot be copied.
  if (fix !== undefined) printLine(io, `        fix: ${fix}`)
}

export const doctorCommand = command({
  options: {
    ...placeOptions,
    'cni-bin-dir': {
      type: 'string',
      requiresArg: true,
      describe: "Where the CNI plugin is; default: Podman's directories",
    },
    json: { type: 'boolean', default: false, describe: 'One JSON list of checks' },
  },
  examples: [
    ['', 'every check, with a fix for what is wrong; exit code 1 when one says FAIL'],
    ['--json', 'the same for scripts'],
  ],
  async run(args, { io, host }) {
    const findings: Finding[] = []
    for await (const part of examine(host, args)) {
      findings.push(...part)
      if (!args.json) for (const finding of part) printFinding(io, finding)
    }
    const count = (state: Finding['state']): number => findings.filter((f) => f.state === state).length
    const failures = count('fail')
    if (args.json) printJson(io, findings)
    else
      printLine(
        io,
        `${count('ok')} ok, ${counted(count('warn'), 'warning')}, ${counted(failures, 'failure')}`,
      )
    return failures > 0 ? 1 : 0
  },
})
