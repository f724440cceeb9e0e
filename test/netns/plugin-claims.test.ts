/**
 * Who owns a slice and a bridge on one host: no address twice across networks and stores, and STATUS says what
 * ADD would (docs/architecture/cni.md#t1, #k3, #p23, #p29).
 */
import t from 'tap'
import { cniHost } from '../helpers/cni/cni.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { executables } from '../helpers/run/executable.ts'

const ipam = (hostId: number) => ({ type: 'flatnet', hostId, supernet: '10.100.0.0/16' })

for (const executable of executables()) {
  t.test(`${executable.name}: one owner for each address`, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable, '1.1.0')
    for (const name of ['c1', 'c2', 'c3']) await host.container(name)
    await host.ok('ADD', { containerId: 'c1', args: 'IP=10.100.1.50' })

    const refused = async (conf: Record<string, unknown>, what: RegExp, name: string) => {
      const call = { containerId: 'c2', args: 'IP=10.100.1.50', conf }
      const add = await host.call('ADD', call)
      t.match(add.json, { code: 7, msg: what }, `${name}: ADD`)
      const status = await host.call('STATUS', { conf })
      t.match(status.json, { code: 50, msg: what }, `${name}: STATUS says the same`)
    }
    await refused({ name: 'other' }, /network flatnet of this host holds addresses of it/, 'same slice')
    await refused(
      { ipam: ipam(2) },
      /has the address 10\.100\.1\.1\/24, not 10\.100\.2\.1\/24/,
      'another hostId',
    )
    await refused(
      { name: 'other' },
      /network flatnet of this host holds addresses of it/,
      'the failed change has not given the slice away',
    )
    await refused(
      { dataDir: `${host.dataDir}-2` },
      /belongs to a network with dataDir/,
      'the same bridge out of another store',
    )

    // An edited conflist that works: another slice on another bridge, while c1 lives on in the old one.
    await host.ok('ADD', { containerId: 'c3', conf: { bridge: 'flatnet2', ipam: ipam(2) } })
    await refused(
      { name: 'other', bridge: 'flatnet3' },
      /network flatnet of this host holds/,
      'held by an old lease',
    )
    await host.ok('DEL', { containerId: 'c1' })
    await host.ok('DEL', { containerId: 'c3' })
  })

  t.test(
    `${executable.name}: a network that nobody uses gives its slice up`,
    { skip: needsRoot },
    async (t) => {
      const host = await cniHost(t, executable, '1.1.0')
      await host.container('c1')
      await host.ok('ADD')
      await host.ok('DEL')
      await host.ok('STATUS', { conf: { name: 'renamed' } })
      const { json } = await host.call('ADD', { conf: { name: 'renamed' } })
      t.match(json.ips, [{ address: /^10\.100\.1\./ }])
      await host.ok('DEL', { conf: { name: 'renamed' } })
    },
  )

  t.test(`${executable.name}: routes of others`, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable, '1.1.0')
    for (const name of ['c1', 'c2']) await host.container(name)
    await host.ok('ADD')
    await host.m.exec('ip', 'link', 'add', 'vpn0', 'type', 'veth', 'peer', 'name', 'vpn1')
    for (const name of ['vpn0', 'vpn1']) await host.m.exec('ip', 'link', 'set', name, 'up')
    await host.m.exec('ip', 'route', 'add', '10.100.1.128/25', 'dev', 'vpn0')
    const status = await host.call('STATUS')
    t.match(status.json, { code: 50, msg: /route 10\.100\.1\.128\/25 dev vpn0/ })
    const taken = await host.call('ADD', { containerId: 'c2', args: 'IP=10.100.1.200' })
    t.match(taken.json, { code: 7, msg: /routes 10\.100\.1\.200 by vpn0, not by flatnet0/ })
    const free = await host.call('ADD', { containerId: 'c2', args: 'IP=10.100.1.99' })
    t.equal(free.rc, 0, 'an address beside that route is fine')
    for (const containerId of ['c1', 'c2']) await host.ok('DEL', { containerId })
  })

  t.test(
    `${executable.name}: CHECK leaves to later plugins what they took`,
    { skip: needsRoot },
    async (t) => {
      const host = await cniHost(t, executable, '1.1.0')
      await host.container('c1')
      const prevResult = await host.ok('ADD')
      await host.m.exec('ip', '-n', 'c1', 'route', 'del', 'default')
      const without = await host.call('CHECK', { conf: { prevResult: { ...prevResult, routes: [] } } })
      t.equal(without.rc, 0, without.stdout)
      const listed = await host.call('CHECK', { conf: { prevResult } })
      t.match(listed.json, { msg: /route to 0\.0\.0\.0\/0 is missing/ })
      await host.ok('DEL')
    },
  )

  t.test(`${executable.name}: STATUS looks and makes nothing`, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable, '1.1.0')
    await host.ok('STATUS', { conf: { dataDir: `${host.dataDir}-never` } })
    t.equal((await host.m.run(['ls', `${host.dataDir}-never`])).rc === 0, false, 'no dataDir')
  })
}
