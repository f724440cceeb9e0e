/**
 * POSTs on kept connections that the server ends at the worst moments.
 *
 * Each is executed once, or answered with an error.
 */

import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { flakyServer, type Habits } from '../../../helpers/gateway/flaky-server.ts'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'

const CLIENTS = 8
const EACH = 60

/** @returns status, 0 for a connection that broke off */
function post(agent: Agent, port: number, id: string): Promise<number> {
  return new Promise((resolve) => {
    const headers = { host: 'web.x', 'x-id': id }
    const req = request({ port, method: 'POST', agent, headers, timeout: 10_000 }, (res) => {
      let body = ''
      res.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      res.on('end', () => resolve(res.statusCode === 200 && body !== id ? -1 : (res.statusCode ?? 0)))
    })
    req.on('timeout', () => req.destroy())
    req.on('error', () => resolve(0))
    req.end('x'.repeat(1000))
  })
}

interface Case {
  readonly name: string
  readonly habits: Habits
  /** Between two requests of a client. */
  readonly pauseMs: (n: number) => number
  /** Of all requests, those that the server breaks off. */
  readonly errors?: number
}

const around = (ms: number) => (n: number) => ms + ((n * 7) % 5) - 2
const none = (): number => 0

/** After a first needless error POSTs get fresh connections: besides it, only requests under way then may fail. */
const cases: readonly Case[] = [
  { name: 'idle connections end after 5 ms', habits: { idleMs: 5 }, pauseMs: around(5) },
  { name: 'after 20 ms', habits: { idleMs: 20 }, pauseMs: around(20) },
  { name: 'by a reset', habits: { idleMs: 5, resets: true }, pauseMs: around(5) },
  { name: 'right behind each answer', habits: { endsAfter: 1 }, pauseMs: none },
  { name: 'behind each third answer', habits: { endsAfter: 3 }, pauseMs: none },
  {
    name: 'behind each third answer, by a reset',
    habits: { endsAfter: 3, resets: true },
    pauseMs: none,
  },
  { name: 'behind the 50th', habits: { endsAfter: 50 }, pauseMs: none },
  { name: 'in the middle of each tenth', habits: { crashesAt: 10 }, pauseMs: none, errors: 48 },
  {
    name: 'in the middle of each tenth, by a reset',
    habits: { crashesAt: 10, resets: true },
    pauseMs: none,
    errors: 48,
  },
]

for (const [i, { name, habits, pauseMs, errors = 0 }] of cases.entries()) {
  t.test(name, async (t) => {
    const gw = await startGateway(t)
    const web = await flakyServer(t, `127.1.250.${i + 1}`, habits)
    await gw.register({ name: 'web', ...web.at })
    const agent = new Agent({ keepAlive: true })
    t.teardown(() => agent.destroy())
    const answers = new Map<string, number>()
    const client = async (_: unknown, c: number): Promise<void> => {
      for (let n = 0; n < EACH; n++) {
        const id = `${c}-${n}`
        answers.set(id, await post(agent, gw.port, id))
        if (pauseMs(n) > 0) await sleep(pauseMs(n))
      }
    }
    await Promise.all(Array.from({ length: CLIENTS }, client))
    const executed = await web.executed()
    t.same(
      [...executed].filter(([, times]) => times > 1),
      [],
      'none was executed twice',
    )
    const good = [...answers].filter(([, status]) => status === 200)
    t.same(
      good.filter(([id]) => executed.get(id) !== 1),
      [],
      'each request answered with 200 was executed once',
    )
    const bad = [...answers].filter(([, status]) => status !== 200)
    t.ok(
      bad.every(([, status]) => status === 502),
      'the others got 502',
    )
    t.comment(`${bad.length} of ${answers.size} with an error`)
    t.ok(bad.length >= errors && bad.length <= errors + CLIENTS, `${bad.length} errors`)
  })
}
