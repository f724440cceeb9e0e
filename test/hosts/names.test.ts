/** Names of containers, asked for from containers: on two hosts of one cluster, and by those who must not. */
import { readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import t, { type Test } from 'tap'
import { type BareContainer, bareContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { type Dug, dnsProgram, UPSTREAM_IP, type Wish } from '../helpers/dns/dns-programs.ts'
import { setConf } from '../helpers/dns/host-conf.ts'
import { libcResolvers } from '../helpers/dns/libc-resolvers.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const SERVER = { 1: '10.100.1.1', 2: '10.100.2.1' } as const
const QUICK = { timeoutMs: 1_000 }

type Who = Pick<BareContainer, 'ns'>

/** Asks all at once, in one process. @returns one answer for each question */
const digs = ({ ns }: Who, ...wishes: readonly Wish[]): Dug[] =>
  JSON.parse(ns.exec(...(dnsProgram('dig', JSON.stringify(wishes)) as [string])))
const dig = (who: Who, server: string, name: string, more: Partial<Wish> = {}): Dug | undefined =>
  digs(who, { server, name, ...more })[0]

/** The last is the outside: a machine on the switch that is no member and has the other DNS server. */
async function world(t: Test) {
  const resolvers = libcResolvers(t)
  const net = await joinedHosts(t, 2, { spare: 1 })
  const [one, two, outside] = [net.host(1), net.host(2), net.host(3)]
  const upstream = outside.spawn(...dnsProgram('upstream', outside.ip))
  await new Promise((resolve) => upstream.stdout?.once('data', resolve))
  for (const host of [one, two]) await setConf(host, { dns: { servers: [outside.ip] } })
  return { one, two, outside, resolvers }
}

const served = async (host: TestHost): Promise<unknown[]> =>
  (await host.api('/v1/status')).dns.networks.map(({ state }: { state: string }) => state)

t.test('two hosts', { skip: needsRoot }, async (t) => {
  const { one, two, outside, resolvers } = await world(t)
  const web = await bareContainer(t, one, 'web')
  const asker = await bareContainer(t, one, 'asker')
  const db = await bareContainer(t, two, 'db')
  await waitFor('names are served', 5_000, async () => (await served(one)).includes('serving'))

  await t.test('the result of ADD has server and search domain', async (t) => {
    t.match(web.result, { dns: { nameservers: ['10.100.1.1'], search: ['flatnet.internal'] } })
    const own = { dns: { nameservers: ['192.0.2.53'] } }
    const c = await bareContainer(t, one, 'own-dns', { conf: own })
    t.same(c.result.dns, own.dns, 'what the configuration says stands')
    await c.del()
  })

  await t.test('each finds each, by UDP and TCP', async (t) => {
    await waitFor('host 1 knows db', 5_000, () => dig(asker, SERVER[1], 'db')?.rcode === 'NOERROR')
    await waitFor('host 2 knows web', 5_000, () => dig(db, SERVER[2], 'web')?.rcode === 'NOERROR')
    for (const tcp of [false, true]) {
      const near = { server: SERVER[1], tcp }
      const here = digs(asker, { ...near, name: 'web.flatnet.internal' }, { ...near, name: 'db' })
      t.match(here, [{ data: [web.ip] }, { data: [db.ip] }])
      const far = { server: SERVER[2], tcp }
      const there = digs(
        db,
        { ...far, name: 'wEB' },
        { ...far, name: 'web', type: 'AAAA' },
        { ...far, name: 'nothing.flatnet.internal' },
      )
      t.match(there, [{ data: [web.ip] }, { rcode: 'NOERROR', data: [] }, { rcode: 'NXDOMAIN' }])
    }
    const reverse = `${db.ip.split('.').reverse().join('.')}.in-addr.arpa`
    t.same(dig(asker, SERVER[1], reverse, { type: 'PTR' })?.data, ['db.flatnet.internal'])
  })

  await t.test('other names are asked for outside', async (t) => {
    t.same(dig(asker, SERVER[1], 'example.com')?.data, [UPSTREAM_IP])
    t.match(dig(asker, SERVER[1], 'big.example', { type: 'TXT', tcp: true }), {
      rcode: 'NOERROR',
      isCut: false,
    })
  })

  for (const { ask, libc } of resolvers)
    await t.test(`${libc} finds names, whole and by the search domain`, async (t) => {
      const conf = ['search flatnet.internal', 'nameserver 10.100.1.1']
      const names = ['db', 'db.flatnet.internal', 'DB', 'nothing.flatnet.internal', 'example.com']
      const v4 = [`ok ${db.ip}`, `ok ${db.ip}`, `ok ${db.ip}`, 'none', `ok ${UPSTREAM_IP}`]
      t.same(ask(asker.ns, { family: '4', names, conf }), v4)
      t.same(ask(asker.ns, { family: 'any', names: names.slice(0, 4), conf }), v4.slice(0, 4), 'A and AAAA')
      t.same(ask(asker.ns, { family: '6', names: ['db', 'nothing.flatnet.internal'], conf }), [
        'none',
        'none',
      ])
    })

  await t.test('getent, as a shell script asks', async (t) => {
    const resolv = `${one.dir}/resolv.conf`
    const text = 'search flatnet.internal\\nnameserver 10.100.1.1\\n'
    const script = `printf '${text}' >${resolv}; mount --bind ${resolv} /etc/resolv.conf; getent ahostsv4 db; getent hosts db`
    t.match(asker.ns.exec('unshare', '-m', 'sh', '-ec', script), new RegExp(`${db.ip} [^]*${db.ip} +db`))
  })

  await t.test('no name is told to anyone else', async (t) => {
    outside.ns.exec('ip', 'route', 'add', '10.100.1.0/24', 'via', one.ip)
    const web = { name: 'web', timeoutMs: 1_000 }
    const byBridge = { ...web, server: SERVER[1] }
    const refused = (who: Who, what: string, ...wishes: readonly Wish[]): void => {
      const rcodes = digs(who, ...wishes).map(({ rcode }) => rcode)
      t.notOk(rcodes.includes('NOERROR'), `${what}: ${rcodes}`)
    }
    const byLan = { ...web, server: one.ip }
    refused(outside, 'a machine on the LAN', byBridge, { ...byBridge, tcp: true }, byLan)
    refused(db, "another host's container", byBridge, { ...byBridge, tcp: true })
    refused(asker, 'a container, by another address of its host', byLan, { ...byLan, tcp: true })
    t.match(digs({ ns: one.ns }, byBridge), [{ rcode: 'NOERROR' }], 'the host itself may ask')
  })

  await t.test('names of the machine, which an older release gave as aliases', async (t) => {
    const machine = hostname().toLowerCase()
    const path = `${one.dataDir}/ipam/flatnet/10.100.1.0.json`
    const block = JSON.parse(readFileSync(path, 'utf8'))
    block.leases[web.ip].aliases = ['localhost', machine, 'shop']
    writeFileSync(path, JSON.stringify(block))
    for (const [host, who, server] of [[one, asker, SERVER[1]] as const, [two, db, SERVER[2]] as const]) {
      await waitFor('the registry has them', 10_000, async () =>
        (await host.assignments()).some(({ aliases }) => aliases.includes('localhost')),
      )
      const names = ['shop', 'localhost', 'localhost.flatnet.internal', `${machine}.flatnet.internal`]
      const [shop, ...reserved] = digs(who, ...names.map((name) => ({ server, name })))
      t.match(shop, { rcode: 'NOERROR', data: [web.ip] }, 'another alias is answered')
      t.same(
        reserved.map(({ rcode, name }) => `${name} ${rcode}`),
        names.slice(1).map((name) => `${name} NXDOMAIN`),
      )
    }
  })

  await t.test('a bridge that comes back, a flushed firewall, a reload', async (t) => {
    one.ns.exec('nft', 'flush', 'ruleset')
    await waitFor(
      'the way is open again',
      10_000,
      () => dig(asker, SERVER[1], 'web', QUICK)?.rcode === 'NOERROR',
    )
    one.signal('SIGHUP')
    await waitFor(
      'names are served again',
      15_000,
      () => dig(asker, SERVER[1], 'web', QUICK)?.rcode === 'NOERROR',
    )
    for (const container of [web, asker]) await container.del()
    one.ns.exec('ip', 'link', 'del', 'flatnet0')
    const again = await bareContainer(t, one, 'again')
    await waitFor(
      'the new bridge serves',
      5_000,
      () => dig(again, SERVER[1], 'again', QUICK)?.rcode === 'NOERROR',
    )
    t.same(dig(again, SERVER[1], 'again', { tcp: true })?.data, [again.ip])
  })

  await t.test('switched off, and port 53 of the bridge is taken', async (t) => {
    const openTo = (): string => one.ns.exec('nft', 'list', 'set', 'inet', 'flatnet', 'name_servers')
    t.match(openTo(), SERVER[1])
    await setConf(one, { dns: { enabled: false } })
    t.notMatch(openTo(), SERVER[1], 'containers reach no server there')
    const other = one.spawn(...dnsProgram('upstream', SERVER[1]))
    await new Promise((resolve) => other.stdout?.once('data', resolve))
    await setConf(one, { dns: { servers: [outside.ip] } })
    const network = async () => (await one.api('/v1/status')).dns.networks[0]
    await waitFor('it is seen', 5_000, async () => (await network())?.state === 'failed')
    t.match((await network()).problem, /another DNS server listens on 10\.100\.1\.1:53/)
    t.match(await one.ok('status'), 'another DNS server listens on')
    t.notMatch(openTo(), SERVER[1])
    other.kill('SIGKILL')
    await waitFor('names are served', 10_000, async () => (await served(one)).includes('serving'))
    t.match(openTo(), SERVER[1])
  })

  await t.test('a host that is out of reach: its names stay', async (t) => {
    await two.kill()
    const c = await bareContainer(t, one, 'late')
    await waitFor('it is out of reach', 10_000, async () =>
      (await one.hosts()).some(({ hostId, state }) => hostId === 2 && state === 'unreachable'),
    )
    t.same(dig(c, SERVER[1], 'db')?.data, [db.ip])
  })

  await t.test('no gateway: what a container can do that runs already', async (t) => {
    await one.kill()
    const late = one.ns
    for (const { ask, libc } of resolvers) {
      const asked = { family: '4', names: ['example.com'] } as const
      const search = 'search flatnet.internal'
      const podman4 = [search, 'nameserver 10.100.1.1', `nameserver ${outside.ip}`]
      t.same(
        ask(late, { ...asked, conf: podman4 }),
        [`ok ${UPSTREAM_IP}`],
        `${libc}, the host's servers behind`,
      )
      // Without the options musl waits for 5 s.
      const podman5 = [search, 'nameserver 10.100.1.1', 'options timeout:1 attempts:1']
      t.same(ask(late, { ...asked, conf: podman5 }), ['again'], `${libc}, our server alone`)
    }
  })
})
