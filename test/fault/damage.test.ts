/**
 * Whatever happens to the lease store while containers live: the next ADD gives nobody a live address
 * (docs/architecture/leases.md#stale).
 */
import { rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { faultHost, needsStrace, standing } from '../helpers/cni/fault.ts'
import { ALONE, BOTH, VICTIM, withWitness } from '../helpers/cni/fault-kill.ts'
import { executables } from '../helpers/run/executable.ts'

const BLOCK = 'ipam/flatnet/10.100.1.0.json'

const DAMAGES: Readonly<Record<string, (dataDir: string) => void>> = {
  'the block is empty': (dir) => truncateSync(join(dir, BLOCK), 0),
  'the block is torn': (dir) => truncateSync(join(dir, BLOCK), 100),
  'the block is zeros': (dir) => writeFileSync(join(dir, BLOCK), Buffer.alloc(512)),
  'the block is of another program': (dir) => writeFileSync(join(dir, BLOCK), '{"hello": ["world"]}'),
  'the block has no leases': (dir) => writeFileSync(join(dir, BLOCK), '{}'),
  'the block is gone': (dir) => rmSync(join(dir, BLOCK)),
  'the hints are gone': (dir) => rmSync(join(dir, 'ipam/flatnet/keys'), { recursive: true }),
  'block and hints are gone': (dir) => {
    rmSync(join(dir, BLOCK))
    rmSync(join(dir, 'ipam/flatnet/keys'), { recursive: true })
  },
  'the whole store is gone': (dir) => rmSync(dir, { recursive: true }),
  "the network's record is torn": (dir) => writeFileSync(join(dir, 'networks/flatnet.json'), '{"netw'),
}

for (const executable of executables())
  t.test(`${executable.name}: a damaged store`, { skip: needsStrace }, async (t) => {
    const host = await faultHost(t, executable)
    await withWitness(host)
    const mine = host.leases()[0]?.ip
    for (const [name, damage] of Object.entries(DAMAGES)) {
      damage(host.dataDir)
      // Asked for by name and by chance: never the address that is in use.
      const asked = await host.call('ADD', { ...VICTIM, conf: { runtimeConfig: { ips: [mine] } } })
      t.match(asked.json, { code: 101 }, `${name}: ${asked.stdout}`)
      const added = await host.ok('ADD', VICTIM)
      t.not(added.ips[0].address, `${mine}/24`, name)
      t.same(await standing(host), BOTH, `${name}: the store is whole again`)
      t.equal(host.leases().find(({ containerId }) => containerId === 'witness')?.ip, mine, name)
      await host.ok('DEL', VICTIM)
      t.same(await standing(host), ALONE, name)
    }
  })
