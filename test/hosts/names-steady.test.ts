/** Names for containers without a gap: while the gateway loads its configuration again and again. */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { bareContainer, type HostContainer, hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { dnsProgram, UPSTREAM_IP } from '../helpers/dns/dns-programs.ts'
import { setConf } from '../helpers/dns/host-conf.ts'
import { type Asked, steadyAsker } from '../helpers/dns/steady-asker.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const SERVER = '10.100.1.1'
/** Between two reloads, so that questions fall before, into and after each. */
const PAUSE_MS = 300

/** The third is the outside, with another DNS server. */
async function world(t: Test) {
  const net = await joinedHosts(t, 2, { spare: 1 })
  const [one, two, outside] = [net.host(1), net.host(2), net.host(3)]
  const upstream = outside.spawn(...dnsProgram('upstream', outside.ip))
  await once(upstream.stdout as Readable, 'data')
  await setConf(one, { dns: { servers: [outside.ip] } })
  return { one, two }
}

/** Asks until `stop`, which returns what became of the questions. */
async function asking(container: HostContainer, rate: number, names: readonly string[]) {
  const child = container.spawn(...steadyAsker(SERVER, rate, names))
  const lines = createInterface({ input: child.stdout as Readable })[Symbol.asyncIterator]()
  await lines.next()
  return {
    async stop(): Promise<Asked> {
      child.stdin?.end()
      return JSON.parse(String((await lines.next()).value))
    },
  }
}

/** Datagrams that found the buffer of their socket full: its program waited for a processor. */
function overflow({ ns }: Pick<HostContainer, 'ns'>): number {
  const [names, values] = [...ns.exec('cat', '/proc/net/snmp').matchAll(/^Udp: (.*)$/gm)].map(
    (row) => row[1]?.split(' ') ?? [],
  )
  return Number(values?.[names?.indexOf('RcvbufErrors') ?? -1])
}

async function reload(host: TestHost): Promise<void> {
  const runs = host.logged('gateway started').length
  host.signal('SIGHUP')
  await waitFor('the next run', 30_000, () => host.logged('gateway started').length > runs)
}

t.test('two hosts', { skip: needsRoot }, async (t) => {
  const { one, two } = await world(t)
  const web = await hostContainer(t, one, 'web')
  const asker = await hostContainer(t, one, 'asker')
  const db = await bareContainer(t, two, 'db')
  await waitFor('host 1 knows db', 10_000, async () => (await one.assignments()).length === 3)

  await t.test('ten reloads: each of 200 questions a second is answered', async (t) => {
    const { stop } = await asking(asker, 200, ['web', 'db', 'example.com'])
    for (let n = 0; n < 10; n++) {
      await reload(one)
      await pause(PAUSE_MS)
    }
    const { answers, asked, silent, ...times } = await stop()
    const overflown = overflow(one) + overflow(asker)
    t.comment(`${asked} questions, ${silent} silent, ${overflown} for which the kernel had no room`, times)
    t.ok(silent <= overflown, 'each that a socket had room for is answered')
    t.ok(asked > 500, `${asked} questions`)
    t.same(Object.keys(answers).sort(), [
      `db NOERROR ${db.ip}`,
      `example.com NOERROR ${UPSTREAM_IP}`,
      `web NOERROR ${web.ip}`,
    ])
  })
})
