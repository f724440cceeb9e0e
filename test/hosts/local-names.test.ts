/** Containers by `web.local` from a machine of the LAN: found, contested, kept over reloads, withdrawn, taken over. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { bareContainer, hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { type Dug, dnsProgram, type Wish } from '../helpers/dns/dns-programs.ts'
import { writeConf } from '../helpers/dns/host-conf.ts'
import { type MdnsPeer, mdnsPeer } from '../helpers/dns/mdns-peer.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { cpuSecondsOf } from '../helpers/run/cpu.ts'
import { waitFor } from '../helpers/run/wait.ts'

const FLOOD = join(import.meta.dirname, '../helpers/cluster/udp-flood.ts')
const FLOOD_MS = 3_000
/** It is 0.02; where all is read that fits into the socket's buffer, 0.10 on a busy machine. */
const MOST_OF_A_CORE = 0.06

/** Shares the port with no other program. */
const GREEDY = `require('node:dgram').createSocket('udp4').bind(5353, () => console.log('bound'))`

async function world(t: Test) {
  const net = await joinedHosts(t, 2, {
    spare: 1,
    async arrange({ hosts }) {
      for (const host of hosts.slice(0, 2)) writeConf(host, { mdns: { enabled: true } })
    },
  })
  const [one, two, person] = [net.host(1), net.host(2), net.host(3)]
  return { one, two, person, lan: await mdnsPeer(person) }
}

const mdns = async (host: TestHost) => (await host.api('/v1/status')).mdns

async function published(host: TestHost, count: number): Promise<void> {
  await waitFor(`host ${host.index} publishes ${count}`, 15_000, async () => {
    const { published, probing } = await mdns(host)
    return published === count && probing === 0
  })
}

/** By SIGHUP, and waits for the next run. */
async function reload(host: TestHost): Promise<void> {
  const runs = host.logged('gateway started').length
  host.signal('SIGHUP')
  await waitFor('the next run', 30_000, () => host.logged('gateway started').length > runs)
}

const withdrawn = ({ heard }: MdnsPeer, name: string): boolean =>
  heard.some(({ records }) =>
    records.some((record) => record.startsWith(`${name} `) && record.endsWith(' 0')),
  )

t.test('a LAN with two hosts and a person', { skip: needsRoot }, async (t) => {
  const { one, two, person, lan } = await world(t)
  const web = await hostContainer(t, one, 'web')
  const db = await bareContainer(t, two, 'db')
  await Promise.all([published(one, 1), published(two, 1)])

  await t.test('names lead to the host of the container', async (t) => {
    lan.forget()
    lan.ask('web.local')
    await lan.hears(`web.local A ${one.ip} 120`)
    lan.ask('db.local')
    await lan.hears(`db.local A ${two.ip} 120`)
    lan.ask('web.local', 'AAAA')
    await lan.hears('web.local NSEC A 120')
    t.ok(
      lan.heard.every(({ from, records }) => from === (records.join().includes('web') ? one.ip : two.ip)),
      'each host answers for its own containers',
    )
  })

  await t.test('conventional DNS, as resolvers ask that know nothing of multicast', async (t) => {
    person.ns.exec('ip', 'route', 'add', '224.0.0.0/4', 'dev', 'eth0')
    const wish: Wish = { server: '224.0.0.251', port: 5353, name: 'web.local', timeoutMs: 5_000 }
    const digs = JSON.parse(
      person.ns.exec(...(dnsProgram('dig', JSON.stringify([wish, { ...wish, type: 'AAAA' }])) as [string])),
    )
    t.match(digs, [
      { rcode: 'NOERROR', data: [one.ip] },
      { rcode: 'NOERROR', data: [] },
    ])
  })

  await t.test('the ingress there goes by the name', async (t) => {
    const get = async (name: string): Promise<string> => {
      const url = `http://${name}:8080/`
      return (
        await person.exec(['curl', '-s', '--max-time', '10', '--resolve', `${name}:8080:${one.ip}`, url])
      ).stdout
    }
    t.equal(await get('web.local'), 'web on host 1\n')
    web.spawn('busybox', 'httpd', '-f', '-p', '9000', '-h', web.www)
    await waitFor('web-9000.local', 10_000, async () => (await get('web-9000.local')) === 'web on host 1\n')
  })

  await t.test('a name that another machine has', async (t) => {
    lan.claim('tv.local')
    const tv = await bareContainer(t, one, 'tv')
    const taken = { name: 'tv.local', ifname: 'eth0', by: person.ip }
    await waitFor('host 1 knows', 10_000, async () => (await mdns(one)).taken.length === 1)
    t.same((await mdns(one)).taken, [taken])
    t.match(one.logged('local name is not published, as another host has it'), [{ name: 'tv.local' }])
    t.match(await one.ok('status'), `tv.local is taken by ${person.ip}`)
    lan.claim(null)
    lan.forget()
    await lan.hears(`tv.local A ${one.ip} 120`)
    lan.forget()
    await tv.del()
    await lan.hears(`tv.local A ${one.ip} 0`)
  })

  await t.test('ten reloads: each question is answered', async (t) => {
    const late = await bareContainer(t, one, 'late')
    await published(one, 2)
    const wish: Wish = { server: '224.0.0.251', port: 5353, name: 'web.local', timeoutMs: 5_000 }
    const asker = person.spawn(...dnsProgram('steady', JSON.stringify(wish)))
    const answers: Dug[] = []
    createInterface(asker.stdout as Readable).on('line', (line) => answers.push(JSON.parse(line)))
    lan.forget()
    for (let i = 0; i < 10; i++) {
      const { length } = answers
      await waitFor('an answer', 10_000, () => answers.length > length)
      await reload(one)
    }
    asker.kill('SIGKILL')
    const slowest = Math.max(...answers.map(({ ms }) => ms))
    t.comment(`${answers.length} answers, the slowest after ${slowest} ms`, await mdns(one))
    t.same(new Set(answers.map(({ rcode, data }) => `${rcode} ${data}`)), new Set([`NOERROR ${one.ip}`]))
    t.notOk(withdrawn(lan, 'web.local'))

    await Promise.all([reload(one), late.del()])
    await lan.hears(`late.local A ${one.ip} 0`)
    t.notOk(withdrawn(lan, 'web.local'), 'a container that goes meanwhile takes its own name along')
    writeConf(one, { mdns: { enabled: false } })
    await reload(one)
    await lan.hears(`web.local A ${one.ip} 0`)
    writeConf(one, { mdns: { enabled: true } })
    await reload(one)
    await published(one, 1)
  })

  await t.test('a flood of messages that are for no name of ours', async (t) => {
    const cpuMs = (): number => cpuSecondsOf(readFileSync(`/proc/${one.pid}/stat`, 'utf8')) * 1_000
    const flooded = async (): Promise<boolean> =>
      /mdns_dropped_total\{why="flood"\} [1-9]/.test(await one.metrics())
    const before = cpuMs()
    const program = person.spawn(process.execPath, FLOOD, '224.0.0.251:5353', '65000', String(FLOOD_MS))
    const since = performance.now()
    await once(program, 'exit')
    const tookMs = performance.now() - since
    const share = (cpuMs() - before) / tookMs
    t.ok(await flooded(), 'it came')
    t.ok(share < MOST_OF_A_CORE, `reading it took ${Math.round(share * 100)} % of a core`)
    lan.forget()
    // As any client that had no answer, it asks again.
    await waitFor('the name is answered again', 10_000, () => {
      lan.ask('web.local')
      return lan.heard.some(({ records }) => records.includes(`web.local A ${one.ip} 120`))
    })
  })

  await t.test('a link that goes, and comes when another program has the port', async (t) => {
    one.ns.exec('ip', 'link', 'set', 'eth0', 'down')
    await waitFor('no LAN', 10_000, async () => (await mdns(one)).links.length === 0)
    t.match(await mdns(one), { problem: /no interface/ })
    const greedy = one.spawn(process.execPath, '-e', GREEDY)
    await new Promise((resolve) => greedy.stdout?.once('data', resolve))
    lan.forget()
    one.ns.exec('ip', 'link', 'set', 'eth0', 'up')
    await waitFor('the port is taken', 10_000, async () => (await mdns(one)).links[0]?.problem)
    t.match((await mdns(one)).links, [{ ifname: 'eth0', problem: /another program has UDP 5353 for itself/ }])
    greedy.kill('SIGKILL')
    await lan.hears(`web.local A ${one.ip} 120`, 15_000)
  })

  await t.test('a link that is interrupted so briefly that all is as before', async (t) => {
    lan.forget()
    one.ns.exec('sh', '-c', 'ip link set eth0 down; ip link set eth0 up')
    // The second announcement of the case above may be heard, and no more of them without new ones.
    const told = () => lan.heard.filter(({ records }) => records.includes(`web.local A ${one.ip} 120`))
    await waitFor('two announcements', 10_000, () => told().length >= 2)
    t.notOk(withdrawn(lan, 'web.local'), 'what other machines know of the name stays')
    await published(one, 1)
  })

  await t.test('one host publishes a name; another takes over', async (t) => {
    const second = await hostContainer(t, two, 'web')
    await waitFor('host 1 knows both', 10_000, async () => (await one.assignments()).length === 3)
    await published(two, 1)
    t.same((await mdns(two)).taken, [], 'it has not asked for the name')
    lan.forget()
    await one.stop()
    await lan.hears(`web.local A ${one.ip} 0`)
    await lan.hears(`web.local A ${two.ip} 120`, 20_000)
    lan.forget()
    await second.del()
    await lan.hears(`web.local A ${two.ip} 0`)
    await db.del()
    await lan.hears(`db.local A ${two.ip} 0`)
  })
})
