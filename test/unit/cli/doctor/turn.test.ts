/** cli/doctor/turn: each problem of a TURN server is told with a way out of its own. */
import t from 'tap'
import { judgeTurn } from '../../../../cli/doctor/turn.ts'
import { NO_ANSWER, problemOf } from '../../../../gateway/dataplane/nat/turn/problems.ts'

const server = 'turn.example:3478'
const judged = (problem: string) => judgeTurn({ servers: [{ server, state: 'waiting', problem }] })

for (const [problem, fix] of [
  [problemOf(401), /^correct username and password or the secret in paths\.turn/],
  [problemOf(441), /^correct username and password/],
  [NO_ANSWER, /UDP port/],
  [problemOf(300, '192.0.2.60:3478'), /^name that server/],
  [problemOf(486), /user-quota/],
  [problemOf(508), /max-port/],
  [problemOf(437), /^wait 10 minutes$/],
  ...[400, 403, 440, 442].map((code) => [problemOf(code), /^name another server/] as const),
  ['it relays for 127.0.0.1:50000, where no host can be', /external-ip/],
  ['ENOENT: no such file or directory, open /etc/flatnet/turn', /first line/],
  ['getaddrinfo ENOTFOUND turn.example', /DNS/],
  ['its name has no address', /DNS/],
  [problemOf(599), /^flatnet netcheck tries it/],
] as const)
  t.test(`"${problem}" has a way out`, async (t) => {
    t.match(judged(problem), [{ state: 'warn', what: `TURN server ${server}: ${problem}`, fix }])
  })

t.test('servers without a problem are fine, and none is no finding', async (t) => {
  const ready = { server, state: 'ready', relayed: '192.0.2.50:50000' } as const
  const idle = { server: '192.0.2.51:3478', state: 'idle' } as const
  const what = `${server} relays from 192.0.2.50:50000; 192.0.2.51:3478 is not needed now`
  t.match(judgeTurn({ servers: [ready, idle] }), [{ state: 'ok', what }])
  t.same(judgeTurn({ servers: [] }), [])
})
