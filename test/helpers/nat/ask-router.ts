/** Asks this namespace's router for port mappings: each line of stdin is a request, each line of stdout its answer. */
import { createInterface } from 'node:readline'
import { askForMapping } from '../../../gateway/dataplane/nat/port-mapping/router.ts'
import { defaultGateway } from '../../../kernel/default-gateway.ts'

for await (const line of createInterface({ input: process.stdin })) {
  const place = defaultGateway()
  if ('problem' in place) throw new Error(place.problem)
  const { protocols, ownAddress = place.ownAddress, ...given } = JSON.parse(line)
  const request = { port: 7_443, externalPort: 7_443, nonce: 'a1'.repeat(12), ...given }
  const began = performance.now()
  const signal = AbortSignal.timeout(20_000)
  const answer = await askForMapping(protocols, { ...place, ownAddress }, request, signal)
  process.stdout.write(`${JSON.stringify({ ...answer, ms: Math.round(performance.now() - began) })}\n`)
}
