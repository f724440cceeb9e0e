/** Doctor, the names under which browsers reach containers: whether a stranger's page could be one of them. */
import type { DaemonConf } from '../../conf/daemon.ts'
import { type Finding, hostCheck, ok } from './check.ts'

/** undefined: there is no configuration that can be read, which other checks report. */
export type NamesFacts = Pick<DaemonConf['ingress'], 'enabled' | 'domains'> | undefined

/** Any name is what most people want in a LAN, so it is no warning. */
export function judgeNames(facts: NamesFacts): Finding[] {
  if (facts === undefined || !facts.enabled) return []
  const { domains } = facts
  if (domains.length > 0)
    return [ok('ingress-names', `browsers reach containers under ${domains.join(', ')}`)]
  return [
    ok(
      'ingress-names',
      'browsers reach containers under any domain, a hostile one too (DNS rebinding): ' +
        'set ingress.domains if containers trust every client that reaches them',
    ),
  ]
}

export const check = hostCheck({
  name: 'ingress-names',
  gather: ({ places }) => places.conf?.ingress,
  judge: judgeNames,
})
