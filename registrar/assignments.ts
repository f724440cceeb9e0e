/** The plugin's two sentences to the gateway: here is an assignment, and it is gone. */

import type { Assignment } from '../core/api.ts'
import type { Attachment } from '../core/attachment.ts'
import { FlatnetError } from '../core/errors.ts'
import { type Answer, type Endpoint, exchange } from './exchange.ts'

const ROOT = '/v1/assignments'

/**
 * @throws {FlatnetError} ERR_FLATNET_IO when the gateway is out of reach, too slow, or refuses; never a reason to fail
 *   ADD
 */
export async function announce(endpoint: Endpoint, assignment: Assignment): Promise<void> {
  const answer = await exchange(endpoint, 'POST', ROOT, JSON.stringify(assignment))
  if (answer.status !== 201 && answer.status !== 200) throw refusal('POST', answer)
}

/** Unknown to the gateway is success, as the API says. */
export async function withdraw(endpoint: Endpoint, a: Attachment): Promise<void> {
  const path = [a.network, a.containerId, a.ifname].map(encodeURIComponent).join('/')
  const answer = await exchange(endpoint, 'DELETE', `${ROOT}/${path}`)
  if (answer.status !== 204) throw refusal('DELETE', answer)
}

function refusal(method: string, { status, body }: Answer): FlatnetError {
  return new FlatnetError('ERR_FLATNET_IO', `the gateway answered ${method} with ${status}`, {
    details: body.slice(0, 500),
  })
}
