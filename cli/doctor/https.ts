/** Doctor, HTTPS: whether it listens and with which certificates, as the gateway says. */

import type { Status } from '../../gateway/api/status.ts'
import { GatewayDownError } from '../host/client.ts'
import { gatewayStatus } from '../host/status.ts'
import { type Finding, hostCheck, ok, warn } from './check.ts'

type Tls = NonNullable<Status['ingress']>['tls']

/** Browsers complain from the last day on; a person needs some to act in. */
const SOON_MS = 14 * 86_400_000

export interface HttpsFacts {
  /** undefined: the gateway does not answer, which is another check's finding. */
  readonly tls: Tls | undefined
  readonly now: number
}

/** Pure. */
export function judgeHttps({ tls, now }: HttpsFacts): readonly Finding[] {
  if (tls === undefined || tls === null) return []
  if (tls.problems.length > 0)
    return tls.problems.map((problem) =>
      warn(
        'https',
        problem,
        'browsers do not reach containers by HTTPS as flatnet.yaml says',
        'the message says how; changed certificate files are read within 2 s',
      ),
    )
  const ending = tls.certificates.filter(({ validTo }) => Date.parse(validTo) - now < SOON_MS)
  if (ending.length > 0)
    return ending.map(({ names, validTo }) =>
      warn(
        'https',
        `the certificate for ${names.slice(0, 4).join(', ')} ends at ${validTo}`,
        'browsers refuse it from then on',
        'renew it and write it to the same file',
      ),
    )
  return [ok('https', `HTTPS listens on ${tls.address}, port ${tls.port}`)]
}

export const check = hostCheck({
  name: 'https',
  async gather({ places }): Promise<HttpsFacts> {
    const now = Date.now()
    try {
      const { ingress } = await gatewayStatus(places)
      return { tls: ingress?.tls, now }
    } catch (err) {
      if (err instanceof GatewayDownError) return { tls: undefined, now }
      throw err
    }
  },
  judge: judgeHttps,
})
