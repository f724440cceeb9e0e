/** `flatnet nebula`: what a cluster needs whose hosts also reach each other through Nebula. */

import type { HostView } from '../../gateway/api/host-view.ts'
import { command, jsonOption } from '../command.ts'
import { apiGet } from '../host/client.ts'
import { findGateway, placeOptions } from '../host/places.ts'
import { type Around, type HostOptions, makeCa, makeConfig, makeHost, makeKey } from '../nebula/verbs.ts'
import { hostNumber } from '../ui/host-number.ts'
import { CliError, type Io, printJson, printLine, UsageError } from '../ui/output.ts'

const VERBS = ['ca', 'host', 'key', 'config'] as const

/** Of nebula-cert. */
function durationOf(text: string): string {
  if (/^\d{1,6}h$/.test(text)) return text
  throw new UsageError(`--duration is "${text}"`, 'a number of hours, e.g. --duration 8760h')
}

interface Answer {
  readonly isJson: boolean
  readonly io: Io
}

function show({ io, isJson }: Answer, made: { readonly files: readonly string[] }, next: string): number {
  if (isJson) printJson(io, made)
  else {
    for (const file of made.files) printLine(io, file)
    io.stderr.write(`\n${next}\n`)
  }
  return 0
}

function signedText(hostId: number | undefined): string {
  return hostId === undefined
    ? 'Next: set paths.nebula.enabled to true in flatnet.yaml, and restart the gateway.'
    : `Copy these files to dataDir/nebula of host ${hostId}, e.g. /var/lib/flatnet/nebula, and set paths.nebula.enabled there.`
}

export const nebulaCommand = command({
  options: {
    ...placeOptions,
    ...jsonOption,
    name: { type: 'string', default: 'flatnet', requiresArg: true, describe: 'ca: its name' },
    duration: {
      type: 'string',
      requiresArg: true,
      describe: 'How long it is valid [default: the CA 87600h, a host as long as the CA]',
    },
    out: { type: 'string', requiresArg: true, describe: 'host: the folder, config: the file to write' },
    ca: {
      type: 'string',
      requiresArg: true,
      describe: 'host: the folder with ca.crt and ca.key of a CA that you have already',
    },
    public: {
      type: 'string',
      requiresArg: true,
      describe: 'host: the public key, host.pub, that flatnet nebula key made there',
    },
  },
  positionals: {
    verb: { choices: VERBS, describe: 'What to make', demandOption: true },
    host: { type: 'number', describe: 'host: its number [default: this host]' },
  },
  examples: [
    ['ca', 'once, on one host: the CA, which signs addresses and slices of this cluster only'],
    ['host', 'the certificate of this host, with its slice'],
    ['host 2', 'the certificate and key of host 2, to be copied there'],
    ['key', 'on host 2: a key that stays there, and host.pub for the next line'],
    ['host 2 --public host.pub', 'the certificate of host 2 for the key that it has made'],
    ['host 2 --ca /etc/nebula', 'the same, signed by a CA that you have already'],
    ['config', 'the configuration, for people who run Nebula by a service of their own'],
  ],
  async run({ config, cniConfDir, json, verb, host: hostId, ...given }, { io, host }) {
    const places = findGateway(host, { config, cniConfDir })
    if (places.conf === undefined)
      throw new CliError(`there is no ${config}`, 'flatnet init or flatnet join come first')
    const around: Around = { host, conf: places.conf }
    const answer: Answer = { io, isJson: json }
    const duration = given.duration === undefined ? undefined : durationOf(given.duration)
    if (verb !== 'host' && hostId !== undefined)
      throw new UsageError(`nebula ${verb} takes no number`, 'flatnet nebula host <number>')
    switch (verb) {
      case 'ca':
        return show(
          answer,
          makeCa(around, { name: given.name, duration: duration ?? '87600h' }),
          'Its key signs hosts: keep a copy, and only here. Next: flatnet nebula host',
        )
      case 'key':
        return show(
          answer,
          makeKey(around),
          'Copy host.pub to the host with the CA, and there: flatnet nebula host <number> --public host.pub',
        )
      case 'host': {
        const which = hostId === undefined ? undefined : hostNumber('nebula host', hostId)
        const { ca, out, public: publicKey } = given
        const options: HostOptions = { hostId: which, out, publicKey, ca, duration }
        return show(answer, makeHost(around, options), signedText(which))
      }
      case 'config': {
        const text = makeConfig(around, await apiGet<HostView[]>(places, '/v1/hosts'), given.out)
        if (json) printJson(io, { config: text, ...(given.out !== undefined && { files: [given.out] }) })
        else printLine(io, given.out ?? text.trimEnd())
        return 0
      }
    }
  },
})
