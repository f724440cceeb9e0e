/**
 * Several networks of one host whose slices lie next to each other: each ADD puts all of them into the sets of
 * prefixes.
 */
import t from 'tap'
import { cniHost, needsRoot } from '../helpers/cni/cni.ts'
import { executables } from '../helpers/run/executable.ts'

for (const executable of executables()) {
  t.test(`${executable.name}: four networks side by side`, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable)
    for (const hostId of [1, 2, 3, 4]) {
      await host.container(`c${hostId}`)
      const ipam = { type: 'flatnet', hostId, supernet: '10.100.0.0/16' }
      const conf = { name: `net${hostId}`, bridge: `br${hostId}`, ipam }
      await host.ok('ADD', { containerId: `c${hostId}`, conf })
    }
    const { nftables } = await host.m.json('nft', '-j', 'list', 'set', 'inet', 'flatnet', 'masq')
    const [{ set }] = nftables.filter((entry: object) => 'set' in entry)
    t.match(JSON.stringify(set.elem), '10.100.1.0')
    const bases = await host.m.exec('nft', 'list', 'set', 'inet', 'flatnet', 'masq')
    for (const inside of ['10.100.1.7', '10.100.2.7', '10.100.3.7', '10.100.4.7'])
      t.equal(
        (await host.m.run(['nft', 'get', 'element', 'inet', 'flatnet', 'masq', `{ ${inside} }`])).rc,
        0,
        `${inside} in ${bases}`,
      )
  })
}
