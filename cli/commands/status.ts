/** `flatnet status`: whether this host's gateway is well, what it holds, its paths to other hosts. */

import type { Status } from '../../gateway/api/status.ts'
import { command } from '../command.ts'
import { apiGet } from '../host/client.ts'
import { findGateway, placeOptions } from '../host/places.ts'
import { pathTables } from '../status/path-table.ts'
import { statusRows } from '../status/rows.ts'
import { whyNotDirect } from '../status/why-not-direct.ts'
import { COME_BACK, nextSteps } from '../ui/next-steps.ts'
import { type Io, printJson, printLine, widthOf, wrap } from '../ui/output.ts'

/** The way back for a host that the others refuse. */
const outside = ({ cluster }: Status): string[] =>
  cluster === null || cluster.expelled === null ? [] : [`this host is out of ${cluster.name}: ${COME_BACK}`]

/** Keys are before it. */
const INDENT = ' '.repeat(12)

function print(io: Io, status: Status): void {
  const width = widthOf(io)
  for (const { key, text } of statusRows(status))
    printLine(io, wrap(text, INDENT, width).replace(INDENT, key.padEnd(INDENT.length)))
  for (const text of pathTables(status.paths, width)) printLine(io, `\n${text}`)
  const alarms = status.alarms.map(({ hostId, reason, next }) => `host ${hostId}: ${reason}; next: ${next}`)
  const todo = [
    ...outside(status),
    ...nextSteps(status.paths, status.hostId),
    ...whyNotDirect(status.paths, Date.now()),
    ...alarms,
  ]
  if (todo.length > 0) printLine(io, `\n${todo.map((line) => wrap(line, '', width)).join('\n')}`)
}

export const statusCommand = command({
  options: {
    ...placeOptions,
    json: { type: 'boolean', default: false, describe: 'JSON, as GET /v1/status gives it' },
  },
  examples: [
    ['', 'the gateway of this host, each path, and what was measured of each UDP path'],
    ['--json', 'the same for scripts'],
  ],
  async run({ config, cniConfDir, json }, { io, host }) {
    const places = findGateway(host, { config, cniConfDir })
    const status = await apiGet<Status>(places, '/v1/status')
    if (json) printJson(io, status)
    else print(io, status)
    return 0
  },
})
