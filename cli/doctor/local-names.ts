/** Doctor, names on the LAN: whether the gateway publishes them, and which of them another machine has. */

import type { Status } from '../../gateway/api/status.ts'
import { GatewayDownError } from '../host/client.ts'
import { gatewayStatus } from '../host/status.ts'
import { counted } from '../ui/output.ts'
import { type Finding, hostCheck, ok, warn } from './check.ts'

/** undefined: the gateway does not answer, which is another check's finding, or is an older one. null: off. */
export type LocalNamesFacts = Status['mdns'] | undefined

/** Pure. */
export function judgeLocalNames(mdns: LocalNamesFacts): readonly Finding[] {
  if (mdns === undefined || mdns === null) return []
  const { links, problem, published, taken } = mdns
  const findings: Finding[] = []
  if (problem !== null)
    findings.push(
      warn(
        'local-names',
        `not every name is published on the LAN: ${problem}`,
        'browsers do not find containers by NAME.local; all else works',
        'change flatnet.yaml or this host (docs/operations/names.md#names-on-the-lan)',
      ),
    )
  for (const link of links)
    if (link.problem !== null)
      findings.push(
        warn(
          'local-names',
          `no name is published on ${link.ifname}`,
          'browsers there do not find containers by NAME.local; all else works',
          link.problem,
        ),
      )
  for (const { name, ifname, by } of taken)
    findings.push(
      warn(
        'local-name-taken',
        `${name} is taken by ${by} on ${ifname}`,
        'that name leads browsers to the other machine',
        'rename the container, give it another alias, or rename that machine',
      ),
    )
  if (findings.length > 0) return findings
  const where = links.map(({ address, ifname }) => `${address} (${ifname})`).join(', ')
  return [ok('local-names', `${counted(published, 'container name')} on the LAN as NAME.local, by ${where}`)]
}

export const check = hostCheck({
  name: 'local-names',
  async gather({ places }): Promise<LocalNamesFacts> {
    try {
      return (await gatewayStatus(places)).mdns
    } catch (err) {
      if (err instanceof GatewayDownError) return undefined
      throw err
    }
  },
  judge: judgeLocalNames,
})
