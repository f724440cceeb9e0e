/**
 * SIGKILL at every step of the very first ADD of a host: bridge, ruleset and folders are half made
 * (docs/architecture/cni.md#c8, #p20).
 */
import { rmSync } from 'node:fs'
import t from 'tap'
import type { CniHost } from '../helpers/cni/cni.ts'
import { faultHost, litter, needsStrace, standing } from '../helpers/cni/fault.ts'
import { killEverywhere, NOBODY, sawAll, VICTIM } from '../helpers/cni/fault-kill.ts'
import { executables } from '../helpers/run/executable.ts'

async function fresh(host: CniHost): Promise<void> {
  await host.m.sh(`for link in $(ls /sys/class/net | grep -E '^(fn|flatnet0)'); do ip link del "$link"; done
    nft delete table inet flatnet 2>/dev/null || true
    echo 0 >/proc/sys/net/ipv4/ip_forward`)
  rmSync(host.dataDir, { recursive: true, force: true })
}

const KINDS = [
  /^mkdir .*networks/,
  /^rename networks/,
  /^(clone|vfork)/,
  /^write .*rp_filter/,
  /^sendto RTM_NEWADDR/,
  /^rename ipam/,
]

for (const executable of executables())
  t.test(
    `${executable.name}: a host whose first ADD was killed is as good as new`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('victim')
      const steps = await killEverywhere(t, {
        host,
        verb: 'ADD',
        before: () => fresh(host),
        after: async (t, { what }) => {
          const add = await host.call('ADD', VICTIM)
          t.ok(add.rc === 0 || add.json.code === 102, `${what}: ADD: ${add.stdout}`)
          t.same(
            await standing(host),
            { leases: ['victim'], links: ['victim'], publishers: ['victim'] },
            what,
          )
          await host.ok('DEL', VICTIM)
          t.same(await standing(host), NOBODY, what)
          t.same(litter(host), [], `${what}: no litter`)
        },
      })
      sawAll(t, steps, KINDS)
    },
  )
