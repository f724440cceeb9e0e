/**
 * The ruleset after others were at it: the next ADD, and the gateway's repair, put back what the leases say
 * (docs/architecture/cni.md#p9).
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { CniHost } from '../helpers/cni/cni.ts'
import { faultHost, standing } from '../helpers/cni/fault.ts'
import { ask, attached, httpd } from '../helpers/cni/fault-servers.ts'
import { repair } from '../helpers/cni/repair.ts'
import { publishedPorts } from '../helpers/kernel/leftovers.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { cliExecutable, executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const PORT = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }

const VANDALS: Readonly<Record<string, string>> = {
  'the ruleset is flushed': 'nft flush ruleset',
  'our table is deleted': 'nft delete table inet flatnet',
  'our table is emptied':
    'nft flush table inet flatnet; for s in bridges supernets masq ports ports_any; do nft flush set inet flatnet $s 2>/dev/null || nft flush map inet flatnet $s; done',
  'one element of ours is gone': 'nft flush map inet flatnet ports_any',
}

/** A table as an older release made it: the same sets under another version. */
const OLDER = `nft list table inet flatnet | sed 's/version_[0-9]*/version_0/' >/run/old.nft
  nft delete table inet flatnet; nft -f /run/old.nft`

async function works(t: Test, host: CniHost, from: string, name: string): Promise<void> {
  t.equal(
    await ask(host.m, undefined, '127.0.0.1:8080'),
    'a 10.100.1.1',
    `${name}: the port is published again`,
  )
  t.match(await ask(host.m, from, '198.51.100.2'), 'lan 198.51.100.1', `${name}: masquerade`)
  const text = await host.m.exec('nft', 'list', 'table', 'inet', 'flatnet')
  t.equal(text.match(/dnat ip to/g)?.length, 2, `${name}: no rule twice`)
}

const BRIDGE_VANDALS: Readonly<Record<string, string>> = {
  'the address is flushed': 'ip addr flush dev flatnet0',
  'the bridge is down': 'ip link set flatnet0 down',
  'a port is taken out': 'ip link set $PORT nomaster',
  'the sysctls are reset':
    'sysctl -qw net.ipv4.ip_forward=0 net.ipv4.conf.flatnet0.rp_filter=1 net.ipv4.conf.flatnet0.route_localnet=0 net.ipv6.conf.flatnet0.accept_ra=1 net.ipv6.conf.flatnet0.disable_ipv6=0',
  'the bridge is deleted': 'ip link del flatnet0',
}

for (const executable of executables()) {
  t.test(`${executable.name}: repair puts back table, network and ports`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    await host.m.neighbour()
    await httpd(host.m, 'lan', 'lan')
    await attached(host, 'a', [PORT])
    await httpd(host.m, 'a', 'a')
    t.match(
      await repair(host),
      { networks: 0, published: 0, removed: 0, errors: [] },
      'nothing to do is nothing done',
    )
    for (const [name, vandal] of Object.entries(VANDALS)) {
      await host.m.sh(vandal)
      t.match(await repair(host), { published: 1, removed: 0, errors: [] }, name)
      // Rules flushed out of a table that still stands are not seen: that does not happen by accident.
      if (name !== 'our table is emptied') await works(t, host, 'a', name)
      else await host.m.exec('nft', 'delete', 'table', 'inet', 'flatnet').then(() => repair(host))
    }
    await host.m.exec('nft', 'delete', 'table', 'bridge', 'flatnet')
    t.match(
      await repair(host),
      { networks: 1, published: 0, errors: [] },
      'the table of the bridges is deleted',
    )
    await works(t, host, 'a', 'the table of the bridges is deleted')
    t.match(await repair(host), { networks: 0 }, 'and is back')
    await host.m.exec('ip', 'link', 'del', host.leases()[0]?.hostIfname ?? '')
    t.match(await repair(host), { removed: 1 }, 'an element without a living owner goes')
  })

  t.test(
    `${executable.name}: repair puts the bridge back under its containers`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.m.neighbour()
      await httpd(host.m, 'lan', 'lan')
      await attached(host, 'a', [PORT])
      await httpd(host.m, 'a', 'a')
      t.match(await repair(host), { links: 0, errors: [] }, 'nothing to do is nothing done')
      const mac = await host.m.exec('cat', '/sys/class/net/flatnet0/address')
      for (const [name, script] of Object.entries(BRIDGE_VANDALS)) {
        await host.m.sh(`PORT=${host.leases()[0]?.hostIfname}; ${script}`)
        const done = await repair(host)
        t.same(done['errors'], [], name)
        t.ok(Number(done['links']) > 0, name)
        await works(t, host, 'a', name)
      }
      t.equal(
        await host.m.exec('cat', '/sys/class/net/flatnet0/address'),
        mac,
        'with the MAC that containers know',
      )
      await host.m.sh('ip addr flush dev flatnet0; ip addr add 10.9.9.1/24 dev flatnet0')
      t.match(
        await repair(host),
        { errors: [/has the address 10\.9\.9\.1/] },
        "another's address is not ours to take",
      )
    },
  )

  t.test(
    `${executable.name}: repair tells a shared port's heir again, and takes no port from a live container`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await attached(host, 'a', [PORT])
      await httpd(host.m, 'a', 'a')
      const second = {
        containerId: 'a',
        ifname: 'eth1',
        conf: {
          name: 'second',
          bridge: 'flatnet1',
          ipam: { type: 'flatnet', hostId: 2, supernet: '10.100.0.0/16' },
          runtimeConfig: { portMappings: [PORT] },
        },
      }
      const prevResult = await host.ok('ADD', second)
      const checked = () => host.call('CHECK', { ...second, conf: { ...second.conf, prevResult } })
      const all = [...host.leases(), ...host.leases('second')]
      t.match(await repair(host, {}, all), { published: 0, errors: [] }, 'nothing to do is nothing done')
      await host.m.exec('nft', 'flush', 'map', 'inet', 'flatnet', 'ports_any')
      t.match(await repair(host, {}, all), { published: 2, errors: [] })
      t.equal((await checked()).rc, 0, 'the second network has its port by the first')
      await host.ok('DEL', { containerId: 'a' })
      t.match(await ask(host.m, undefined, '127.0.0.1:8080'), /^a /, 'and by itself')
      t.equal((await checked()).rc, 0)
      await host.m.exec('nft', 'flush', 'map', 'inet', 'flatnet', 'ports_any')
      await attached(host, 'thief', [PORT])
      t.match(
        (await checked()).json,
        { code: 103, msg: 'published port tcp *:8080 is missing' },
        'CHECK sees that it leads to another container',
      )
      t.match(await repair(host, {}, host.leases('second')), { published: 0, errors: [] })
      t.match(await publishedPorts(host.m), [/10\.100\.1\.\d+/], 'which is alive and keeps it')
    },
  )

  t.test(`${executable.name}: the gateway waits for no lock`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    await attached(host, 'a', [PORT])
    const lock = join(host.dataDir, 'rules.lock')
    const held = await host.m.start(['flock', '--no-fork', lock, 'sleep', '600'], { name: 'holder' })
    await waitFor(
      'the lock is held',
      5_000,
      async () => (await host.m.run(['flock', '-n', lock, 'true'])).rc === 1,
    )
    await host.m.exec('nft', 'delete', 'table', 'inet', 'flatnet')
    const timeouts = { lockMs: 10, loadMs: 1_000 }
    t.match(await repair(host, { timeouts }), { errors: [/rules\.lock is held by .* waited [123]0 ms/] })
    await held.kill()
    t.match(await repair(host, { timeouts }), { published: 1, errors: [] }, 'the next run does it')
  })

  t.test(
    `${executable.name}: ADD makes the table of this release out of that of another, with all elements`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.m.neighbour()
      await httpd(host.m, 'lan', 'lan')
      await attached(host, 'a', [PORT])
      await httpd(host.m, 'a', 'a')
      const before = await publishedPorts(host.m)
      await host.m.sh(
        `${OLDER}; nft add element inet flatnet refused_ports '{ 8443 }'; nft delete set inet flatnet bridges 2>/dev/null || true`,
      )
      t.match(await host.m.exec('nft', 'list', 'table', 'inet', 'flatnet'), /set version_0/)
      // The mark of the older release: nothing says that it is ready.
      await host.m.sh(
        `nft flush set inet flatnet bridges; nft add element inet flatnet bridges '{ "flatnet0" comment "v0 10.100.0.0/16 masq" }'`,
      )
      await attached(host, 'b')
      const text = await host.m.exec('nft', 'list', 'table', 'inet', 'flatnet')
      t.notMatch(text, /version_0/)
      t.match(text, /8443/)
      t.same(await publishedPorts(host.m), before)
      await works(t, host, 'b', 'another release')
      t.same(await standing(host), { leases: ['a', 'b'], links: ['a', 'b'], publishers: ['a'] })
    },
  )

  t.test(
    `${executable.name}: ADD after a flush brings its own network back, CHECK tells what is missing`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.m.neighbour()
      await httpd(host.m, 'lan', 'lan')
      await host.container('a')
      const conf = { runtimeConfig: { portMappings: [PORT] } }
      const prevResult = await host.ok('ADD', { containerId: 'a', conf })
      await host.ok('CHECK', { containerId: 'a', conf: { ...conf, prevResult } })
      await host.m.sh('nft flush ruleset')
      const check = await host.call('CHECK', { containerId: 'a', conf: { ...conf, prevResult } })
      t.match(check.json, {
        code: 103,
        msg: /nftables rules are missing/,
        details: /published port tcp \*:8080 is missing/,
      })
      await attached(host, 'b')
      t.match(await ask(host.m, 'b', '198.51.100.2'), 'lan 198.51.100.1')
      t.match(await ask(host.m, 'a', '198.51.100.2'), 'lan 198.51.100.1', 'for all of the network')
    },
  )
}

t.test(
  'the gateway puts back at once what a firewall flushed that starts anew',
  { skip: needsRoot },
  async (t) => {
    const host = await faultHost(t, cliExecutable())
    await attached(host, 'a', [PORT])
    await httpd(host.m, 'a', 'a')
    const config = join(host.m.dir, 'flatnet.yaml')
    const conf = {
      hostId: 1,
      supernet: '10.100.0.0/16',
      dataDir: host.dataDir,
      api: { socket: '/run/ft/gateway.sock' },
      ingress: { enabled: false },
      // Its rounds have no part in this.
      reconcileMs: 3_600_000,
    }
    writeFileSync(config, JSON.stringify(conf))
    const gateway = await host.m.start([cliExecutable().path, 'gateway', '--config', config], {
      name: 'gateway',
    })
    await waitFor('the gateway has started', 10_000, () => gateway.log().includes('gateway started'))
    for (const vandal of ['nft flush ruleset', 'nft delete table inet flatnet', 'nft flush ruleset']) {
      await host.m.sh(vandal)
      await waitFor(`the port is back after ${vandal}`, 5_000, async () =>
        (await ask(host.m, undefined, '127.0.0.1:8080')).startsWith('a '),
      )
    }
  },
)
