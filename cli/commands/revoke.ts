/** `flatnet revoke`: takes another host out of the cluster, for good. */

import type { MemberRecord } from '../../gateway/cluster/members/document.ts'
import { command } from '../command.ts'
import { apiPost } from '../host/client.ts'
import { findGateway, placeOptions } from '../host/places.ts'
import { hostNumber } from '../ui/host-number.ts'
import { printLine } from '../ui/output.ts'
import { withProgress } from '../ui/progress.ts'

export const revokeCommand = command({
  options: placeOptions,
  positionals: { host: { type: 'number', demandOption: true, describe: 'Its number' } },
  examples: [['3', 'refuse host 3 from now on, everywhere']],
  async run({ config, cniConfDir, host: hostId }, { io, host }) {
    hostNumber('revoke', hostId)
    const places = findGateway(host, { config, cniConfDir })
    const revoked = apiPost<MemberRecord>(places, '/v1/cluster/revoke', { hostId })
    const member = await withProgress(io, 'the gateway is telling the other hosts', revoked)
    printLine(
      io,
      `host ${hostId} (${member.name}) is ${member.state}; every host that is up refuses it by now.`,
    )
    printLine(io, `A new machine in its place: flatnet token --replace ${hostId}`)
    return 0
  },
})
