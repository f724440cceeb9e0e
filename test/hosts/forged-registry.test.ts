/**
 * What a member with a key of its own can do to the registry: nothing beyond its own slice, whatever it sends; and it
 * is counted.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parsePrefix4 } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'
import type { ControlMessage } from '../../gateway/links/types.ts'
import { hashOf } from '../../gateway/replication/hash.ts'
import { PROTOCOL } from '../../gateway/replication/messages.ts'
import { wireRecord } from '../../gateway/replication/record.ts'
import { ed25519Signer } from '../../gateway/replication/sign.ts'
import { bareContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { equalTables, markOf, tableOf } from '../helpers/cluster/tables.ts'
import { hostilePeer, identityIn } from '../helpers/hostile/hostile-peer.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const assignment = (hostId: number, ip: string, name: string): Assignment => ({
  network: 'flatnet',
  containerId: `${name}-1`,
  ifname: 'eth0',
  hostId,
  ips: [`${ip}/24`],
  mac: '0a:64:0a:64:02:0a',
  name,
  aliases: [],
  ports: [],
  httpPort: 80,
  createdAt: '2026-11-25T12:00:00.000Z',
})

/** `{ forged: 2 }`: messages of the registry that the host did not follow. */
async function dropped(host: TestHost): Promise<Record<string, number>> {
  const line = /^flatnet_registry_dropped_total\{reason="([\w-]+)"\} (\d+)$/gm
  return Object.fromEntries(
    [...(await host.metrics()).matchAll(line)].map(([, reason, n]) => [reason, Number(n)]),
  )
}

t.test('three hosts', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  await bareContainer(t, one, 'apple')
  await bareContainer(t, two, 'berry')
  const cherry = await bareContainer(t, three, 'cherry')
  await equalTables(net.hosts, 5_000)

  // Host 2 is taken over: its gateway is ended, and what speaks in its name has its key, its epoch and its place.
  await two.kill()
  await waitFor('host 1 has let go of it', 10_000, async () => !(await one.linksUp()).includes(2))
  const identity = identityIn(two.dataDir)
  const signer = ed25519Signer(() => identity)
  const { epoch } = JSON.parse(readFileSync(join(two.dataDir, 'gateway/epoch.json'), 'utf8'))
  const nonce = randomBytes(16).toString('hex')
  let seq = 0
  /** The last seq that host 1 has followed. */
  let believed = 0
  /** Signed with the key of host 2, whatever it says. */
  const claim = (over: { hostId?: number; epoch?: number; seq?: number; hash?: string } = {}) => {
    const made = { hostId: 2, epoch: epoch + 1, seq: ++seq, nonce, hash: 'a'.repeat(64), ...over }
    return { ...made, ...signer.sign(made) }
  }
  const hello = (): ControlMessage => ({ type: 'registry.hello', v: PROTOCOL, ...claim(), know: [] })
  const delta = (put: readonly unknown[], del: readonly unknown[] = [], size = 1): ControlMessage => {
    return { type: 'registry.delta', ...claim(), from: believed, size, put, del }
  }
  const page = (signed: object, records: readonly unknown[]): ControlMessage => ({
    type: 'registry.table',
    ...signed,
    ageMs: 0,
    page: 0,
    pages: 1,
    records,
  })
  const hostile = await hostilePeer(t, two, one)
  hostile.send(hello())
  hostile.send(page(claim(), [wireRecord(assignment(2, '10.100.2.10', 'berry'))]))
  await waitFor('it is believed about its own slice', 5_000, async () => (await markOf(one, 2)) === 'live')
  believed = seq
  const before = await tableOf(one)
  /** Sends it, and waits until host 1 has counted so many for the reason. */
  const refused = async (reason: string, ...messages: ControlMessage[]): Promise<void> => {
    const from = (await dropped(one))[reason] ?? 0
    for (const message of messages) hostile.send(message)
    await waitFor(`${messages.length} are dropped as ${reason}`, 5_000, async () => {
      return ((await dropped(one))[reason] ?? 0) >= from + messages.length
    })
  }
  const containers = async (): Promise<readonly string[]> => (await tableOf(one)).containers

  await t.test('addresses outside of its slice', async (t) => {
    const bad = (ip: string): ControlMessage => delta([wireRecord(assignment(2, ip, 'thief'))])
    await refused(
      'out-of-slice',
      bad(cherry.ip),
      bad('10.100.1.10'),
      bad('192.0.2.1'),
      delta([], [cherry.ip], 1),
      page(claim(), [wireRecord(assignment(2, '10.100.3.77', 'thief'))]),
    )
    const two = { ...assignment(2, '10.100.2.10', 'berry'), ips: ['10.100.2.10/24', `${cherry.ip}/24`] }
    await refused('out-of-slice', delta([wireRecord(two)]))
    t.same(await containers(), before.containers)
  })

  await t.test('a row dated 9999 takes no name of another host', async (t) => {
    const where = async (): Promise<string> =>
      (await one.exec(['curl', '-s', '--max-time', '10', '-H', 'Host: cherry.x', 'http://127.0.0.1:8080/']))
        .stdout
    // For 10 s after a start no host was first, as tables come in any order.
    await waitFor('host 1 has run for a while', 15_000, async () => {
      return (await one.api<{ uptimeMs: number }>('/v1/status')).uptimeMs > 11_000
    })
    t.match(await where(), cherry.ip, 'the name leads to host 3')
    const berry = wireRecord(assignment(2, '10.100.2.10', 'berry'))
    const thief = { ...assignment(2, '10.100.2.11', 'cherry'), createdAt: '9999-12-31T23:59:59.999Z' }
    hostile.send(page(claim(), [berry, wireRecord(thief)]))
    await waitFor('host 1 knows the row', 5_000, async () =>
      (await containers()).includes('10.100.2.11/24 cherry'),
    )
    t.match(await where(), cherry.ip, 'and still does')
    hostile.send(page(claim(), [berry]))
    await waitFor(
      'the row is gone',
      5_000,
      async () => (await containers()).length === before.containers.length,
    )
    believed = seq
  })

  await t.test('in the name of others', async (t) => {
    const stolen = [assignment(3, cherry.ip, 'thief')]
    const slice = parsePrefix4('10.100.3.0/24') ?? { base: 0, prefixLen: 24 }
    const hash = hashOf(slice, stolen)
    const later = { hostId: 3, epoch: epoch + 1_000, hash }
    await refused('forged', page(claim(later), stolen.map(wireRecord)))
    await refused(
      'not-owner',
      { ...delta(stolen.map(wireRecord)), ...claim(later) },
      { ...hello(), ...claim(later) },
    )
    await refused('not-owner', page(claim({ ...later, hostId: 1 }), []))
    await refused('stranger', page(claim({ ...later, hostId: 99 }), []))
    // "Your own signature is later than what you say", which would make host 1 raise its epoch.
    await refused('forged', { type: 'registry.stale', ...claim({ hostId: 1, epoch: epoch + 1_000 }) })
    t.same(await tableOf(one), { ...before, versions: (await tableOf(one)).versions })
    t.equal((await tableOf(one)).versions[3], before.versions[3])
    t.equal((await tableOf(one)).versions[1], before.versions[1])
  })

  await t.test('a true table of another host, kept and sent again', async (t) => {
    hostile.send({ type: 'registry.want', hostId: 3, epoch: 0, seq: 0 })
    const genuine = await waitFor('host 1 passes on the table of host 3', 5_000, () =>
      hostile.heard.find((m) => m.type === 'registry.table' && m['hostId'] === 3),
    )
    t.ok(JSON.stringify(genuine).includes(cherry.ip))
    await cherry.del()
    await waitFor('it is gone', 5_000, async () => (await markOf(one, 3)) === undefined)
    await refused('old', genuine)
    await refused('forged', { ...genuine, seq: Number(genuine['seq']) + 10 })
    await refused('forged', { ...genuine, epoch: Number(genuine['epoch']) + 10 })
    await three.kill()
    await waitFor('host 3 is away', 5_000, async () => !(await one.linksUp()).includes(3))
    await refused('old', genuine)
    t.equal(await markOf(one, 3), undefined, 'also while its owner cannot object')
    await three.start()
  })

  await t.test('no messages of ours', async (t) => {
    const record = wireRecord(assignment(2, '10.100.2.10', 'berry'))
    await refused(
      'malformed',
      ...[
        { ...delta([record]), from: -1 },
        { ...delta([record]), size: '1' },
        { ...delta([record]), put: { length: 1 } },
        { ...delta([record]), del: [7] },
        { ...delta([record]), epoch: 1e300 },
        { ...delta([record]), nonce: 7 },
        { ...delta([record]), sig: null },
        delta([7]),
        delta([[...record, 'more']]),
        delta([record.with(3, ['10.100.2.10/33'])]),
        delta([record.with(5, 'two words')]),
        delta([record.with(7, [['tcp', '', 0, 80]])]),
        delta([record.with(9, 'yesterday')]),
        delta([record, record]),
        { ...hello(), v: 99 },
        { ...page(claim(), [record]), pages: 1e9 },
        { ...page(claim(), [record]), page: 3, pages: 4 },
        { type: 'registry.digest', scope: 'all', know: [[3, -1, 0]] },
        { type: 'registry.digest', scope: '__proto__', know: [] },
        { type: 'registry.nothing' },
        { type: 'registry.constructor' },
      ].map((message) => message as ControlMessage),
    )
    t.ok(hostile.isOpen, 'which is no reason to end the link')
    t.same(
      (await containers()).filter((line) => line.includes('10.100.2.')),
      ['10.100.2.10/24 berry'],
    )
  })

  await t.test('a flood of questions', async () => {
    const ask = { type: 'registry.want', hostId: 3, epoch: 0, seq: 0 }
    for (let n = 0; n < 600; n++) hostile.send(ask)
    await waitFor('some are left unanswered', 5_000, async () => ((await dropped(one))['flood'] ?? 0) > 0)
  })

  await t.test('no frames of ours', async (t) => {
    const rss = async (): Promise<number> => (await one.api('/v1/status')).memory.rssBytes
    const from = await rss()
    const head = (length: number, type: number): Buffer => {
      const bytes = Buffer.alloc(5)
      bytes.writeUInt32BE(length)
      bytes[4] = type
      return bytes
    }
    const json = Buffer.from('{"type":')
    const torn = Buffer.concat([head(1_000, 1), json])
    for (const bytes of [
      head(0xffff_ffff, 1),
      head(33 << 20, 1),
      head(0, 77),
      Buffer.concat([head(json.length, 1), json]),
      Buffer.concat([head(4, 1), Buffer.from('null')]),
      Buffer.concat([head(2, 1), Buffer.from('[]')]),
      Buffer.concat([Buffer.of(0xff), randomBytes(4_096)]),
    ]) {
      const other = await hostilePeer(t, two, one)
      other.raw(bytes)
      await waitFor(`it is cut off after ${bytes.toString('hex', 0, 16)}`, 5_000, () => !other.isOpen)
    }
    // The beginning of a message that never ends, and one that holds 30 MB of nothing.
    const slow = await hostilePeer(t, two, one)
    slow.raw(torn)
    slow.end()
    const huge = await hostilePeer(t, two, one)
    huge.send({
      ...hello(),
      know: Array.from({ length: 60_000 }, () => [3, 1, 1]),
      pad: 'x'.repeat(8 << 20),
    } as never)
    await waitFor('host 1 answers', 5_000, () => one.api('/v1/status'))
    huge.end()
    t.ok((await rss()) - from < 150 << 20, 'memory is bounded')
    t.match(one.log(), /protocol error: message of 4294967295 bytes/)
  })

  await t.test('all of it was logged, no gateway ended, and the true host 2 is believed again', async (t) => {
    t.match(await dropped(one), { 'out-of-slice': 6, forged: 4, 'not-owner': 3, stranger: 1 })
    t.match(one.logged('registry message dropped'), [{ peer: 2 }])
    t.equal(one.logged('gateway started').length, 1)
    t.equal(one.logged('gateway ends by an error that nobody caught').length, 0)
    t.equal(one.logged('registry message failed').length, 0)
    await two.start()
    const { containers } = await equalTables(net.hosts, 20_000)
    t.match(containers, [/apple/, /berry/])
    t.equal(containers.length, 2)
  })
})
