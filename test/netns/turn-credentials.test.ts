/** Credentials for a limited time at Debian's coturn, and its quotas: what a host does when they are over. */

import { spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import type { TurnServer } from '../../gateway/dataplane/nat/turn/allocation.ts'
import { type Netns, needsRoot, netns } from '../helpers/kernel/netns.ts'
import { coturn, TURN_LOGIN, TURN_SECRET } from '../helpers/nat/coturn.ts'
import type { HeldTurn } from '../helpers/nat/hold-turn.ts'
import { waitFor } from '../helpers/run/wait.ts'

const PEER = '192.0.2.1'
const BY_SECRET = '192.0.2.53'
const PATIENCE_MS = 60_000
/** Of credentials that a secret makes here, a day elsewhere: they end before the first refresh, after 25 s. */
const LIFE_MS = 12_000
/** A refresh was answered twice by then, each time by credentials whose time was over. */
const LONG_S = 60

/** A server that was started anew is noticed by the next refresh, after 25 s at most. */
const NOTICED_MS = 30_000

type Held = () => HeldTurn

interface Asked {
  readonly lifeMs?: number
  /** Of the peer's datagrams, which the server is to pass on. */
  readonly peers?: readonly string[]
}

function hold(
  t: Test,
  host: Netns,
  server: Partial<TurnServer>,
  { lifeMs, peers = [PEER] }: Asked = {},
): Held {
  const program = [process.execPath, join(import.meta.dirname, '../helpers/nat/hold-turn.ts')]
  const named = JSON.stringify({ name: 'turn.example:3478', username: '', ...server })
  const argv = ['netns', 'exec', host.name, ...program, named, `${lifeMs ?? 86_400_000}`, ...peers]
  const child = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  let held: HeldTurn = { name: '', state: 'idle', times: 0, datagrams: 0, worstGapMs: 0 }
  createInterface({ input: child.stdout }).on('line', (line) => {
    held = JSON.parse(line)
  })
  return () => held
}

const until = (what: string, held: Held, isSo: (now: HeldTurn) => boolean): Promise<HeldTurn> =>
  waitFor(what, PATIENCE_MS, () => (isSo(held()) ? held() : undefined))

/** A peer sends to the relayed address 20 times a second until the end of the test. */
function sendTo(t: Test, host: Netns, relayed: string): void {
  const [ip, port] = relayed.split(':')
  const script = `const s = require('node:dgram').createSocket('udp4')
    setInterval(() => s.send('x'.repeat(64), ${port}, '${ip}'), 50)`
  const child = spawn('ip', ['netns', 'exec', host.name, process.execPath, '-e', script], {
    stdio: 'inherit',
  })
  t.teardown(() => child.kill('SIGKILL'))
}

/** As a page of a provider shows them, for a person to copy. */
function copied(untilS: number): { readonly username: string; readonly password: string } {
  const username = `${untilS}:h1`
  return { username, password: createHmac('sha1', TURN_SECRET).update(username).digest('base64') }
}

async function switchboard(t: Test): Promise<Netns> {
  const lan = await netns(t)
  lan.exec('ip', 'link', 'add', 'lan', 'type', 'bridge')
  lan.exec('ip', 'link', 'set', 'lan', 'up')
  lan.exec('ip', 'addr', 'add', `${PEER}/24`, 'dev', 'lan')
  return lan
}

t.test('credentials for a limited time', { skip: needsRoot, timeout: 240_000 }, async (t) => {
  const lan = await switchboard(t)
  const server = await coturn(t, lan, { ip: BY_SECRET, login: 'secret', more: ['--stale-nonce=10'] })
  const address = `${BY_SECRET}:3478`
  const began = Date.now()
  const endS = Math.ceil(began / 1_000) + 8
  const bySecret = hold(t, lan, { address, username: 'h1', secret: TURN_SECRET }, { lifeMs: LIFE_MS })
  const byCopy = hold(t, lan, { address, ...copied(endS) })
  const both = [bySecret, byCopy]
  for (const held of both) {
    const { relayed } = await until('it is ready', held, ({ state }) => state === 'ready')
    sendTo(t, lan, relayed ?? '')
    await until('datagrams arrive', held, ({ datagrams }) => datagrams > 0)
  }
  const first = both.map((held) => held().relayed)

  await t.test('end: the allocation goes on through refreshes, and no datagram is lost', async (t) => {
    for (const held of both)
      await until('a minute has gone', held, () => Date.now() >= began + LONG_S * 1_000)
    for (const [i, held] of both.entries()) {
      const { datagrams, worstGapMs } = held()
      t.match(held(), { state: 'ready', relayed: first[i], times: 1 }, 'the same allocation')
      t.ok(datagrams > LONG_S * 15, `${datagrams} datagrams in a minute, worst gap ${worstGapMs} ms`)
      t.ok(worstGapMs < 2_000)
    }
  })

  await t.test(
    'end, and the server is started anew: a secret makes new ones, copied ones are told',
    async (t) => {
      await server.kill()
      await server.start()
      const from = performance.now()
      await until('the secret serves', bySecret, ({ state, times }) => state === 'ready' && times === 2)
      const tookMs = Math.round(performance.now() - from)
      t.ok(tookMs <= NOTICED_MS, `it relays again after ${tookMs} ms (bound ${NOTICED_MS})`)
      const { problem, remedy } = await until(
        'it is told',
        byCopy,
        (now) => now.problem !== undefined && now.state === 'waiting' && !/answer/.test(now.problem),
      )
      t.equal(
        problem,
        `it refuses username and password, which were for a limited time and ended at ${new Date(endS * 1_000).toISOString().replace('.000', '')}`,
      )
      t.match(remedy, /secret or secretFile/)
    },
  )

  await t.test('have ended before they were used', async (t) => {
    const late = hold(t, lan, { address, ...copied(endS) })
    t.match(await until('it is refused', late, ({ state }) => state === 'waiting'), { problem: /ended at/ })
    const wrong = hold(t, lan, { address, ...copied(endS + 86_400), password: 'wrong' })
    const told = await until('it is refused', wrong, ({ state }) => state === 'waiting')
    t.equal(told.problem, 'it refuses username and password, or the secret', 'these would last a day')
  })
})

t.test('a server that is full', { skip: needsRoot, timeout: 120_000 }, async (t) => {
  const lan = await switchboard(t)
  for (const [i, { what, more, told }] of [
    { what: 'user-quota: 486', more: ['--user-quota=1'], told: { problem: /quota/, remedy: /user-quota/ } },
    {
      what: 'total-quota: 486',
      more: ['--total-quota=1'],
      told: { problem: /quota/, remedy: /total-quota/ },
    },
    {
      what: 'no port left: 508',
      more: ['--min-port=50000', '--max-port=50000'],
      told: { problem: 'it has no port left', remedy: /max-port/ },
    },
  ].entries())
    await t.test(what, async (t) => {
      const ip = `192.0.2.${60 + i}`
      await coturn(t, lan, { ip, more })
      const server = { address: `${ip}:3478`, ...TURN_LOGIN }
      const first = hold(t, lan, server)
      await until('the first one is ready', first, ({ state }) => state === 'ready')
      const second = hold(t, lan, server)
      t.match(await until('the second is refused', second, ({ state }) => state === 'waiting'), told)
      t.match(first(), { state: 'ready', times: 1 }, 'the first one is not disturbed')
    })
})
