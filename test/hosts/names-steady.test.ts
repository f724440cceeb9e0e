/** Names for containers without a gap: over reloads of the gateway, and beside a container that floods it. */
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as pause } from 'node:timers/promises'
import { encode } from 'dns-packet'
import t, { type Test } from 'tap'
import { bareContainer, type HostContainer, hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { dnsProgram, UPSTREAM_IP } from '../helpers/dns/dns-programs.ts'
import { setConf } from '../helpers/dns/host-conf.ts'
import { type Asked, steadyAsker } from '../helpers/dns/steady-asker.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const SERVER = '10.100.1.1'
const FLOOD = join(import.meta.dirname, '../helpers/cluster/udp-flood.ts')
const FLOOD_RATE = 50_000
const FLOOD_MS = 5_000
/** What the rules let in, bytes: a second, and at once. */
const RATE_BYTES = 128 * 1_024
const BURST_BYTES = 32 * 1_024
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

/** How many the gateway has read, answered or not. */
async function questions(host: TestHost): Promise<number> {
  const lines = (await host.metrics()).matchAll(/^flatnet_dns_(?:queries|dropped)_total\{.*\} (\d+)$/gm)
  return [...lines].reduce((sum, [, count]) => sum + Number(count), 0)
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

  await t.test('a container that floods is bounded, and others go on where there is room', async (t) => {
    const flooder = await hostContainer(t, one, 'flooder')
    const twin = await asking(web, 500, ['db'])
    const calm = await asking(asker, 100, ['web'])
    const before = { overflow: overflow(one), read: await questions(one) }
    const [id, type] = [7, 'query'] as const
    const question = encode({ type, id, flags: 0x0100, questions: [{ type: 'A', name: 'web' }] })
    const flood = [FLOOD, `${SERVER}:53`, String(FLOOD_RATE), String(FLOOD_MS), question.toString('hex')]
    const child = flooder.spawn(process.execPath, '--disable-warning=ExperimentalWarning', ...flood)
    const [text] = await once(child.stdout as Readable, 'data')
    const { sent, ms }: { readonly sent: number; readonly ms: number } = JSON.parse(String(text))
    const honest = await Promise.all([twin.stop(), calm.stop()])
    const asked = honest.reduce((sum, each) => sum + each.asked, 0)
    const silent = honest.reduce((sum, each) => sum + each.silent, 0)
    const lost = overflow(one) - before.overflow
    const read = (await questions(one)) - before.read - (asked - silent)
    t.comment(`${sent} sent; of these ${read} were read, and for ${lost} of all the buffer had no room`)
    t.comment('honest ones', ...honest)
    // In one packet they share a header, so each counts as little more than its content. The kernel's bucket for bytes
    // holds a second of the rate besides the burst (nft_limit_init).
    const most = Math.round((RATE_BYTES * (ms / 1_000 + 1) + BURST_BYTES) / question.length)
    t.ok(read + lost <= most + asked, `the rules drop the flood (bound ${most} and the honest ones)`)
    t.match(one.ns.exec('nft', 'list', 'counter', 'inet', 'flatnet', 'name_flood'), /packets [1-9]/)
    const full = lost + overflow(web) + overflow(asker)
    t.ok(silent <= full, `${silent} of ${asked} honest questions are silent, and buffers lost ${full}`)
    t.same(
      honest.map(({ answers }) => Object.keys(answers)),
      [[`db NOERROR ${db.ip}`], [`web NOERROR ${web.ip}`]],
    )
  })
})
