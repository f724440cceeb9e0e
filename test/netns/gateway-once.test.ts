/**
 * A POST that crosses the end of its connection is answered with an error: a server that ended its half may still
 * execute what comes.
 */
import type { Socket } from 'node:net'
import t from 'tap'
import { startGateway } from '../helpers/gateway/gateway-fixture.ts'
import { scriptedContainer, until } from '../helpers/gateway/gateway-upstream.ts'
import { needsRoot, run } from '../helpers/kernel/netns.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const SENT = (text: string) => (text.match(/ HTTP\/1\.1\r\n/g) ?? []).length
const post = { method: 'POST', body: 'x'.repeat(1000) }

interface Case {
  readonly name: string
  /** The second request is lost on its way. */
  readonly isLost: boolean
  readonly end: (socket: Socket) => unknown
  /** Requests on each connection. */
  readonly sent: readonly number[]
}

const cases: readonly Case[] = [
  {
    name: 'ended before it came',
    isLost: true,
    end: (s) => s.destroy(),
    sent: [1],
  },
  {
    name: 'reset before it came',
    isLost: true,
    end: (s) => s.resetAndDestroy(),
    sent: [1],
  },
  {
    name: 'ended when it had come',
    isLost: false,
    end: (s) => s.destroy(),
    sent: [2],
  },
]

for (const { name, isLost, end, sent } of cases) {
  t.test(name, { skip: needsRoot }, async (t) => {
    const gw = await startGateway(t)
    const sockets: Socket[] = []
    const web = await scriptedContainer(t, [
      (s) => {
        sockets.push(s)
        s.once('data', () => s.write(OK))
      },
      (s) => s.on('data', () => s.write(OK)),
    ])
    await gw.register({ name: 'web', ...web.at })
    t.equal((await gw.get('web.x', '/', post)).status, 200)
    const [first] = sockets
    const port = first?.remotePort
    if (isLost) {
      run('nft', ['add table inet once; add chain inet once out { type filter hook output priority 0; }'])
      run('nft', [`add rule inet once out tcp sport ${port} tcp flags & psh == psh drop`])
      t.teardown(() => run('nft', ['delete table inet once']))
    }
    const second = gw.get('web.x', '/', post)
    await until(() =>
      isLost
        ? /^\S+ +\d+ +[1-9]/.test(run('ss', ['-Htn', `sport = :${port}`]))
        : SENT(web.received[0] ?? '') === 2,
    )
    end(first!)
    t.equal((await second).status, 502)
    t.same(web.received.map(SENT), sent)
  })
}
