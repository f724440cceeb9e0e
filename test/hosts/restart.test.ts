/**
 * Gateways restart, are killed and come back: TCP connections between containers live through it, and others do not
 * notice.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type HostContainer, hostContainer, received } from '../helpers/cluster/host-container.ts'
import { allLinked, joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { traffic } from '../helpers/cluster/tunnel-traffic.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { heldTo } from '../helpers/nat/held-udp.ts'
import { Stalls } from '../helpers/run/stalls.ts'
import { waitFor } from '../helpers/run/wait.ts'

const skip = needsRoot
const MIB = 1 << 20

/** A file that compresses to nothing and is not the same anywhere. @returns its SHA-256 */
function makeFile(path: string, mebibytes: number): string {
  const hash = createHash('sha256')
  const fd = openSync(path, 'w')
  const block = Buffer.alloc(MIB, 'flatnet ')
  for (let n = 0; n < mebibytes; n++) {
    for (let at = 0; at < MIB; at += 4096) block.writeUInt32BE(n * 256 + at / 4096, at)
    writeSync(fd, block)
    hash.update(block)
  }
  closeSync(fd)
  return hash.digest('hex')
}

/** Bytes that a container's interface has received. */
const progress = async (c: HostContainer, bytes: number) =>
  waitFor(`${c.name} has received ${bytes >> 20} MiB`, 60_000, () => received(c) >= bytes)

t.test('three hosts', { skip, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  const apple = await hostContainer(t, two, 'apple')
  const berry = await hostContainer(t, three, 'berry')
  const cherry = await hostContainer(t, one, 'cherry')

  await t.test(
    'a download of 1 GiB: both gateways restart, and the way leads over a relay and back',
    async (t) => {
      const sum = makeFile(join(berry.www, 'big'), 1024)
      const before = received(apple)
      const wget = apple.spawn('sh', '-c', `busybox wget -q -O - http://${berry.ip}/big | sha256sum`)
      let out = ''
      wget.stdout?.setEncoding('utf8').on('data', (text: string) => {
        out += text
      })
      const ended = once(wget, 'close')
      const reach = async (mebibytes: number) => {
        await progress(apple, before + mebibytes * MIB)
        t.equal(wget.exitCode, null, `still loading after ${mebibytes} MiB`)
      }
      await reach(50)
      await three.restart()
      await reach(150)
      net.cut(2, 3)
      await pathIs(two, 3, 'relay:1')
      await reach(Math.ceil((received(apple) - before) / MIB) + 5)
      net.heal(2, 3)
      await pathIs(two, 3, 'gateway')
      await reach(350)
      await two.restart()
      await ended
      t.equal(out.split(' ')[0], sum)
    },
  )

  await t.test('one TCP connection, while the gateway at either end is killed', async (t) => {
    const server = apple.spawn(...traffic('serve', 9000))
    t.teardown(() => server.kill('SIGKILL'))
    await waitFor('it listens', 10_000, () => apple.ns.exec('ss', '-Hltn').includes(':9000 '))
    const before = received(apple)
    const client = berry.spawn(...traffic('send', apple.ip, 9000, 512))
    let out = ''
    client.stdout?.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
    const ended = once(client, 'close')
    for (const host of [two, three]) {
      await progress(apple, before + (host === two ? 50 : 200) * MIB)
      await host.kill()
      await host.start()
    }
    await ended
    t.match(out, /\{"equal":true\}\s*$/)
  })

  await t.test('a peer that is killed: 503 with a reason within 3 s, others untouched', async (t) => {
    await allLinked(net)
    const server = cherry.spawn(...traffic('serve', 9000))
    t.teardown(() => server.kill('SIGKILL'))
    await waitFor('it listens', 10_000, () => cherry.ns.exec('ss', '-Hltn').includes(':9000 '))
    const client = apple.spawn(...traffic('send', cherry.ip, 9000, 256))
    let out = ''
    client.stdout?.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
    const ended = once(client, 'close')
    using stalls = new Stalls()
    const from = Date.now()
    await three.kill()
    const answer = await waitFor('host 1 answers 503', 3_500, () => failure(one, 'berry'))
    heldTo(t, 'host 1 answers 503', { from, to: Date.now() }, stalls, 3_000)
    t.match(answer, {
      code: 'unreachable',
      hostId: 1,
      container: { name: 'berry', hostId: 3, ip: berry.ip, path: { state: 'ISOLATED', reason: /./ } },
    })
    await ended
    t.match(out, /\{"equal":true\}\s*$/)
    await three.start()
    await waitFor('berry answers again', 10_000, async () => {
      const { stdout } = await one.exec(['curl', '-s', '-m', '2', 'http://127.0.0.1:8080/~berry/'])
      return stdout === 'berry on host 3\n'
    })
  })
})

const pathIs = (host: TestHost, to: number, via: string) =>
  waitFor(`host ${host.index} reaches host ${to} by ${via}`, 20_000, async () => {
    return (await host.api(`/v1/paths/${to}`)).via === via
  })

/** The answer of host's gateway for a container, once it is 503. */
async function failure(host: TestHost, name: string): Promise<unknown> {
  const { stdout } = await host.exec([
    ...['curl', '-s', '-m', '2', '-H', 'accept: application/json', '-w', '\n%{http_code}'],
    `http://127.0.0.1:8080/~${name}/`,
  ])
  const lines = stdout.split('\n')
  return lines.at(-1) === '503' ? JSON.parse(lines[0] ?? '') : undefined
}
