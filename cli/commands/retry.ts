/** `flatnet retry`: tries for a direct UDP path again now, to one host or to all that have none. */
import type { RetryReply } from '../../core/api.ts'
import { command, jsonOption } from '../command.ts'
import { apiPost } from '../host/client.ts'
import { findGateway, placeOptions } from '../host/places.ts'
import { hostNumber } from '../ui/host-number.ts'
import { printJson, printLine, widthOf, wrap } from '../ui/output.ts'

export const retryCommand = command({
  options: { ...placeOptions, ...jsonOption },
  positionals: { host: { type: 'number', describe: 'Its number; all hosts without it' } },
  examples: [
    ['', 'to all hosts, when a firewall or a cable was repaired'],
    ['3', 'to host 3'],
  ],
  async run({ config, cniConfDir, json, host: given }, { io, host }) {
    const hostId = given === undefined ? undefined : hostNumber('retry', given)
    const places = findGateway(host, { config, cniConfDir })
    const path = hostId === undefined ? '/v1/paths/retry' : `/v1/paths/${hostId}/retry`
    const { retried } = await apiPost<RetryReply>(places, path, {})
    const say = (text: string): void => printLine(io, wrap(text, '', widthOf(io)))
    if (json) printJson(io, { retried })
    else if (retried.length > 0)
      say(`trying UDP to host ${retried.join(', ')} now; flatnet status shows the result within 10 s`)
    else
      say(
        'no host lacks a direct UDP path that could be tried: flatnet status shows each path and its reason',
      )
    return 0
  },
})
