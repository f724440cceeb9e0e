/** What the gateway says of itself: those that share places ask it once, and judge the same moment. */

import type { Status } from '../../gateway/api/status.ts'
import { apiGet } from './client.ts'
import type { Places } from './places.ts'

/** By the places of the run. */
const asked = new WeakMap<Places, Promise<Status>>()

/** @throws {GatewayDownError} it does not answer, for each check again */
export function gatewayStatus(places: Places): Promise<Status> {
  const answer = asked.get(places) ?? apiGet<Status>(places, '/v1/status')
  asked.set(places, answer)
  return answer
}
