/** cli/doctor/turn: each problem of a TURN server is told with a way out of its own. */
import t from 'tap'
import { judgeTurn } from '../../../../cli/doctor/turn.ts'
import {
  credentialsOver,
  fileProblem,
  NO_ANSWER,
  nameProblem,
  problemOf,
  relaysNowhere,
  type TurnProblem,
} from '../../../../gateway/dataplane/nat/turn/problems.ts'

const server = 'turn.example:3478'
const judged = (told: Partial<TurnProblem>) => judgeTurn({ servers: [{ server, state: 'waiting', ...told }] })

for (const [told, fix] of [
  [problemOf(401), /^correct username and password or the secret in paths\.turn/],
  [problemOf(441), /^correct username and password/],
  [NO_ANSWER, /UDP port/],
  [problemOf(300, '192.0.2.60:3478'), /^name that server/],
  [problemOf(486), /user-quota/],
  [problemOf(508), /max-port/],
  [problemOf(437), /^wait 10 minutes$/],
  ...[400, 403, 440, 442].map((code) => [problemOf(code), /^name another server/] as const),
  [credentialsOver(1_795_972_047_000), /secret or secretFile/],
  [relaysNowhere('127.0.0.1:50000'), /external-ip/],
  [fileProblem('ENOENT: no such file or directory, open /etc/flatnet/turn'), /first line/],
  [nameProblem('getaddrinfo ENOTFOUND turn.example'), /DNS/],
  [problemOf(599), /^flatnet netcheck tries it/],
] as const)
  t.test(`"${told.problem}" has a way out`, async (t) => {
    t.match(judged(told), [{ state: 'warn', what: `TURN server ${server}: ${told.problem}`, fix }])
  })

t.test('a P2P process from before remedies names none', async (t) => {
  t.match(judged({ problem: 'it does not answer' }), [{ state: 'warn', fix: /^flatnet netcheck tries it/ }])
})

t.test('servers without a problem are fine, and none is no finding', async (t) => {
  const ready = { server, state: 'ready', relayed: '192.0.2.50:50000' } as const
  const idle = { server: '192.0.2.51:3478', state: 'idle' } as const
  const what = `${server} relays from 192.0.2.50:50000; 192.0.2.51:3478 is not needed now`
  t.match(judgeTurn({ servers: [ready, idle] }), [{ state: 'ok', what }])
  t.same(judgeTurn({ servers: [] }), [])
})
