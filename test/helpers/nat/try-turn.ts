/** Tries TURN servers from this namespace: each line of stdin is a server, each line of stdout what came of it. */
import { createInterface } from 'node:readline'
import { tryTurnServer } from '../../../gateway/dataplane/nat/turn/try-server.ts'
import { mayBeHost } from '../../../gateway/dataplane/p2p/endpoints.ts'

const overlay = { base: 0x0a640000, prefixLen: 16 }
for await (const line of createInterface({ input: process.stdin })) {
  const trial = await tryTurnServer(JSON.parse(line), (endpoint) => mayBeHost(endpoint, overlay))
  process.stdout.write(`${JSON.stringify(trial)}\n`)
}
