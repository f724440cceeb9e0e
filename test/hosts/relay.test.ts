/**
 * Two hosts that a third reaches and that do not reach each other: containers go through it, and back to the short way.
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { PathInfo } from '../../core/api.ts'
import { type HostContainer, hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const skip = needsRoot

const pathTo = (from: TestHost, hostId: number): Promise<PathInfo> => from.api(`/v1/paths/${hostId}`)

const waysAre = (a: TestHost, b: TestHost, via: RegExp, timeoutMs: number): Promise<unknown> =>
  waitFor(`hosts ${a.index} and ${b.index} go by ${via}`, timeoutMs, async () => {
    const ways = await Promise.all([pathTo(a, b.index), pathTo(b, a.index)])
    return ways.every((way) => via.test(way.via))
  })

/** A metric without labels; 0 until it is counted. */
async function metric(host: TestHost, name: string): Promise<number> {
  const { stdout } = await host.exec(['curl', '-s', '--unix-socket', host.socket, 'http://gateway/metrics'])
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(stdout)?.[1] ?? 0)
}

/** One TCP connection from `a` to `b` that says a line both ways whenever it is asked to. */
async function conversation(a: HostContainer, b: HostContainer) {
  const there = b.spawn('busybox', 'nc', '-l', '-p', '7000')
  await waitFor('it listens', 5_000, () => b.ns.exec('ss', '-Hltn').includes(':7000 '))
  const here = a.spawn('busybox', 'nc', b.ip, '7000')
  const heard = { here: '', there: '' }
  here.stdout?.on('data', (chunk) => {
    heard.here += chunk
  })
  there.stdout?.on('data', (chunk) => {
    heard.there += chunk
  })
  return async (text: string, timeoutMs = 5_000): Promise<void> => {
    here.stdin?.write(`${text}\n`)
    there.stdin?.write(`${text}\n`)
    await waitFor(`both hear ${text}`, timeoutMs, () =>
      [heard.here, heard.there].every((said) => said.endsWith(`${text}\n`)),
    )
  }
}

/** A download from `b` to `a` that takes three quarters of a minute. */
function download(a: HostContainer, b: HostContainer) {
  const bytes = randomBytes(128 * 1024 * 1024)
  writeFileSync(join(b.www, 'large'), bytes)
  const file = join(a.www, 'got')
  const curl = a.spawn('curl', '-sS', '--limit-rate', '3M', '-o', file, `http://${b.ip}/large`)
  const ended = once(curl, 'exit')
  return {
    isRunning: () => curl.exitCode === null && statSync(file).size > 0,
    async isWhole(): Promise<boolean> {
      await ended
      return readFileSync(file).equals(bytes)
    },
  }
}

t.test('direct, through a third host, direct again: TCP connections live on', { skip }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  const a = await hostContainer(t, one, 'apple')
  const b = await hostContainer(t, two, 'berry')
  const say = await conversation(a, b)
  await say('direct')
  const large = download(a, b)
  await waitFor('the download has begun', 5_000, large.isRunning)
  net.cut(1, 2)
  const cutAt = performance.now()
  await say('relayed', 15_000)
  t.comment(`heard again ${Math.round(performance.now() - cutAt)} ms after the cut`)
  await waysAre(one, two, /^relay:3$/, 5_000)
  t.match(await pathTo(one, 2), { state: 'GATEWAY_ONLY', reason: /^through host 3: / })
  await works(t, one, a, b)
  t.equal(await metric(three, 'flatnet_relay_pairs'), 1)
  t.ok((await metric(three, 'flatnet_relay_bytes_total')) > 20_000)
  t.equal(await metric(one, 'flatnet_relay_connections'), 1)
  net.heal(1, 2)
  await waysAre(one, two, /^gateway$/, 30_000)
  await say('direct again')
  t.ok(large.isRunning(), 'a download has lived through both moves')
  await waitFor(
    'the relay is let go of',
    15_000,
    async () => (await metric(three, 'flatnet_relay_pairs')) === 0,
  )
  await say('and still')
  t.ok(await large.isWhole(), 'and every byte of it is right')
})

/** Web page, small and large packets, and the page by the gateway of a host that does not reach the other. */
async function works(t: Test, host: TestHost, a: HostContainer, b: HostContainer): Promise<void> {
  t.equal(a.ns.exec('busybox', 'wget', '-q', '-O', '-', `http://${b.ip}/`), 'berry on host 2\n')
  // Where both ends have dialled the relay at once, one of the two connections ends, and what is in it is lost.
  await waitFor('three pings in a row are answered', 15_000, () =>
    a.ns.exec('sh', '-c', `busybox ping -c 3 -W 2 ${b.ip} || true`).includes('3 packets received'),
  )
  t.match(b.ns.exec('busybox', 'ping', '-c', '1', '-s', '20000', a.ip), '1 packets received')
  const page = await host.exec(['curl', '-s', '-m', '5', 'http://127.0.0.1:8080/~berry/'])
  t.equal(page.stdout, 'berry on host 2\n')
}

t.test('a relay that breaks behind itself, or is gone, is left for another', { skip }, async (t) => {
  const net = await joinedHosts(t, 4)
  const [one, two] = [net.host(1), net.host(2)]
  const a = await hostContainer(t, one, 'apple')
  const b = await hostContainer(t, two, 'berry')
  net.cut(1, 2)
  await waysAre(one, two, /^relay:/, 15_000)
  const say = await conversation(a, b)
  await say('by the first')
  const first = Number((await pathTo(one, 2)).via.split(':')[1])
  const second = 7 - first
  // Host 1 still reaches it; what it is told by its own link to host 2 comes later than the silence of the line.
  net.cut(2, first)
  await say('by the second', 15_000)
  await waysAre(one, two, new RegExp(`^relay:${second}$`), 5_000)
  net.heal(2, first)
  await waitFor('host 2 is linked again', 15_000, async () => (await two.linksUp()).length === 2)
  await net.host(second).kill()
  await say('by the first again', 15_000)
  await waysAre(one, two, new RegExp(`^relay:${first}$`), 5_000)
})

t.test('the only relay starts anew, and volunteers no more', { skip }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  net.cut(1, 2)
  await waysAre(one, two, /^relay:3$/, 15_000)
  const say = await conversation(await hostContainer(t, one, 'apple'), await hostContainer(t, two, 'berry'))
  await say('before')
  await three.stop()
  await waysAre(one, two, /^none$/, 10_000)
  await three.start()
  const startedAt = performance.now()
  await say('after', 15_000)
  t.comment(`heard again ${Math.round(performance.now() - startedAt)} ms after its start`)
  t.match(await three.ok('status'), /relays +1 of 64 pairs of other hosts, \d+\.\d Mbit\/s\n/)

  const file = join(three.dir, 'flatnet.yaml')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replace(/(?<=^relay:\n(?: .*\n)*? {2}volunteer: )true$/m, 'false'))
  t.not(readFileSync(file, 'utf8'), text)
  three.signal('SIGHUP')
  await waysAre(one, two, /^none$/, 15_000)
  await waitFor('and host 1 says why', 10_000, async () =>
    /host 3 is no relay to it: it does not relay for others/.test((await pathTo(one, 2)).reason),
  )
  t.match(await three.ok('status'), /relays +for no other hosts \(relay\.volunteer\)\n/)
})
