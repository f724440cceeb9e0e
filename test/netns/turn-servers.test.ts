/**
 * TURN servers as coturn has them: IPv6 alone, one that refers to another, a name with a dead address, wrong secrets.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import type { TurnServer } from '../../gateway/dataplane/nat/turn/allocation.ts'
import type { TurnTrial } from '../../gateway/dataplane/nat/turn/try-server.ts'
import { type Netns, needsRoot, netns } from '../helpers/kernel/netns.ts'
import { coturn, TURN_IP, TURN_LOGIN, TURN_SECRET } from '../helpers/nat/coturn.ts'

const V6 = '2001:db8::51'
const REFERRING = '192.0.2.52'
const BY_SECRET = '192.0.2.53'
const DEAD = '192.0.2.99:3478'

/** One process on the switch asks for all. */
function askerIn(t: Test, host: Netns): (server: Partial<TurnServer>) => Promise<TurnTrial> {
  const program = [process.execPath, join(import.meta.dirname, '../helpers/nat/try-turn.ts')]
  const child = spawn('ip', ['netns', 'exec', host.name, ...program], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return async (server) => {
    child.stdin.write(`${JSON.stringify({ name: 'turn.example:3478', ...server })}\n`)
    return JSON.parse((await lines.next()).value ?? 'null')
  }
}

t.test('coturn', { skip: needsRoot, timeout: 120_000 }, async (t) => {
  const lan = await netns(t)
  lan.exec('ip', 'link', 'add', 'lan', 'type', 'bridge')
  lan.exec('ip', 'link', 'set', 'lan', 'up')
  lan.exec('ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'lan')
  lan.exec('ip', 'addr', 'add', '2001:db8::1/64', 'dev', 'lan', 'nodad')
  await coturn(t, lan)
  await coturn(t, lan, { ip: V6 })
  await coturn(t, lan, { ip: REFERRING, more: [`--alternate-server=${TURN_IP}:3478`] })
  await coturn(t, lan, { ip: BY_SECRET, login: 'secret' })
  const ask = askerIn(t, lan)

  await t.test('by IPv6 alone', async (t) => {
    const trial = await ask({ address: `[${V6}]:3478`, ...TURN_LOGIN })
    t.match(trial, { state: 'ready', relayed: /^\[2001:db8::51\]:/ })
  })
  await t.test('one that refers to another', async (t) => {
    const trial = await ask({ address: `${REFERRING}:3478`, ...TURN_LOGIN })
    t.match(trial, { state: 'ready', relayed: /^192\.0\.2\.50:/ })
  })
  await t.test('two addresses, the first one dead', async (t) => {
    const trial = await ask({ address: DEAD, others: [`${TURN_IP}:3478`], ...TURN_LOGIN })
    t.match(trial, { state: 'ready', relayed: /^192\.0\.2\.50:/ })
    t.match(await ask({ address: DEAD, ...TURN_LOGIN }), { state: 'waiting', problem: 'it does not answer' })
  })
  await t.test('a secret, and a wrong one', async (t) => {
    const server = { address: `${BY_SECRET}:3478`, username: 'h1' }
    t.match(await ask({ ...server, secret: TURN_SECRET }), { state: 'ready', relayed: /^192\.0\.2\.53:/ })
    t.match(await ask({ ...server, secret: 'wrong' }), { state: 'waiting', problem: /refuses.*the secret/ })
  })
})
