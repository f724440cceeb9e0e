/** Doctor, the cluster: whether this host takes part as its files say, and its certificate's end. */

import type { Status } from '../../gateway/api/status.ts'
import { ClusterFiles } from '../../gateway/cluster/identity/files.ts'
import type { Host } from '../host/host.ts'
import type { Places } from '../host/places.ts'
import { howToRestart, itsLog } from '../host/service.ts'
import { gatewayStatus } from '../host/status.ts'
import { COME_BACK } from '../ui/next-steps.ts'
import { type Finding, fail, hostCheck, ok, warn } from './check.ts'

export interface ClusterFacts {
  /** The files of a member are there. */
  readonly isMember: boolean
  /** Of `GET /v1/status`; undefined when the gateway does not answer. */
  readonly status: Status['cluster'] | undefined
}

async function gatherCluster(host: Host, places: Places): Promise<ClusterFacts> {
  const files = new ClusterFiles(places.conf?.dataDir ?? places.dataDirs[0] ?? '')
  const status = await gatewayStatus(places).then(
    (answer) => answer.cluster,
    () => undefined,
  )
  return { isMember: host.read(files.path('members')) !== undefined, status }
}

export function judgeCluster({ isMember, status }: ClusterFacts): Finding[] {
  // The check of the gateway reports a missing answer.
  if (status === undefined) return []
  if (status === null) {
    if (!isMember) return []
    return [
      fail(
        'cluster',
        'the files of a cluster are here, and the gateway does not use them',
        'other hosts cannot be reached',
        `${howToRestart()}; its log says what is wrong with them: ${itsLog()}`,
      ),
    ]
  }
  const { name, members, linksUp, expelled, certificate } = status
  if (expelled !== null) {
    return [
      fail(
        'cluster',
        `this host is no member of ${name} any more: ${expelled}`,
        'every other host refuses it',
        COME_BACK,
      ),
    ]
  }
  const checks: Finding[] = []
  if (certificate.warning !== undefined) {
    const isEarly = certificate.state === 'not yet valid'
    const judge = isEarly || certificate.state === 'expired' ? fail : warn
    const effect = isEarly
      ? 'to this host every newer certificate is not valid yet, so no link is made'
      : `it ends at ${certificate.validTo}; then the others refuse this host`
    const fix = isEarly
      ? 'timedatectl set-ntp true'
      : 'flatnet hosts shows which host admits: see to its gateway'
    checks.push(judge('certificate', certificate.warning, effect, fix))
  }
  if (checks.length > 0) return checks
  return [
    ok(
      'cluster',
      `member of cluster ${name}, ${linksUp} of ${members - 1} other hosts linked, ` +
        `certificate until ${certificate.validTo.slice(0, 10)}`,
    ),
  ]
}

export const check = hostCheck({
  name: 'cluster',
  gather: ({ host, places }) => gatherCluster(host, places),
  judge: judgeCluster,
})
