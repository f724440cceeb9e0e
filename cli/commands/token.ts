/** `flatnet token`: a one-time token, as the line to run on the host that joins. */

import { command } from '../command.ts'
import { apiPost } from '../host/client.ts'
import { findGateway, placeOptions } from '../host/places.ts'
import { hostNumber } from '../ui/host-number.ts'
import { printJson, printLine, UsageError } from '../ui/output.ts'

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `90s`, `10m`, `2h`, `1d`. @throws {UsageError} */
export function parseDuration(text: string): number {
  const [, amount, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text) ?? []
  const ms = Number(amount) * (UNITS[unit] ?? Number.NaN)
  if (ms > 0 && ms <= 7 * 86_400_000) return ms
  throw new UsageError(`--ttl is "${text}"`, 'a number with s, m, h or d, at most 7d, e.g. --ttl 10m')
}

export const tokenCommand = command({
  options: {
    ...placeOptions,
    ttl: {
      type: 'string',
      default: '10m',
      requiresArg: true,
      describe: 'How long the token is good: 90s, 10m, 2h, 1d',
    },
    'host-id': {
      type: 'number',
      requiresArg: true,
      describe: 'Number of the new host [default: the lowest that no host has had]',
    },
    replace: {
      type: 'number',
      requiresArg: true,
      conflicts: 'host-id',
      describe: 'Number of the machine to replace; its key is revoked when the token is used',
    },
    json: { type: 'boolean', default: false, describe: 'JSON instead of the line' },
  },
  examples: [
    ['', 'for the next free number, good for 10 minutes'],
    ['--host-id 7 --ttl 1h', 'for host 7, good for an hour'],
    ['--replace 3', 'for a new machine in the place of host 3'],
  ],
  async run({ config, cniConfDir, ttl, hostId, replace, json }, { io, host }) {
    const ttlMs = parseDuration(ttl)
    if (hostId !== undefined) hostNumber('--host-id', hostId)
    if (replace !== undefined) hostNumber('--replace', replace)
    const places = findGateway(host, { config, cniConfDir })
    const made = await apiPost<{ token: string; expiresAt: number }>(places, '/v1/cluster/tokens', {
      ttlMs,
      hostId,
      replaces: replace,
    })
    if (json) {
      printJson(io, { ...made, expiresAt: new Date(made.expiresAt).toISOString() })
      return 0
    }
    printLine(io, `flatnet join ${made.token}`)
    io.stderr.write(
      `\nRun this line on the new host, as root. It works once, for ${ttl}.\n` +
        'If others can list the processes there: run flatnet join alone, and paste the line when it asks.\n' +
        `If flatnet is not installed there yet: copy ${process.execPath} there and begin the line with ./flatnet\n`,
    )
    return 0
  },
})
