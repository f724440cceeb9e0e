/**
 * SIGKILL at every step of ADD, on a host that runs containers and on one that never ran any
 * (docs/architecture/cni.md#c8; docs/architecture/plugin.md#order).
 */
import t from 'tap'
import { faultHost, litter, litterAfterGc, needsStrace, standing } from '../helpers/cni/fault.ts'
import { ALONE, BOTH, killEverywhere, sawAll, VICTIM, withWitness } from '../helpers/cni/fault-kill.ts'
import { executables } from '../helpers/run/executable.ts'

/** What an ADD on a host that is set up does, in the words of `Step.what`. */
const KINDS = [
  /^symlink .*keys\/victim:eth0/,
  /^fsync/,
  /^rename ipam/,
  /^sendto RTM_NEWLINK/,
  /^write .*eth0\/rp_filter/,
  /^sendto NFNL_MSG_BATCH/,
]

for (const executable of executables()) {
  t.test(
    `${executable.name}: after a killed ADD, DEL leaves nothing and ADD works`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await withWitness(host)
      const steps = await killEverywhere(t, {
        host,
        verb: 'ADD',
        before: () => host.ok('DEL', VICTIM),
        after: async (t, { what }) => {
          const del = await host.call('DEL', VICTIM)
          t.equal(del.rc, 0, `${what}: DEL: ${del.stdout}`)
          t.same(await standing(host), ALONE, what)
          t.same(litter(host), [], `${what}: no litter`)
          const add = await host.call('ADD', VICTIM)
          t.equal(add.rc, 0, `${what}: ADD: ${add.stdout}`)
          t.same(await standing(host), BOTH, what)
        },
      })
      sawAll(t, steps, KINDS)
      t.same(await litterAfterGc(host), [], 'no temp file outlives gc')
      t.same(await standing(host), BOTH, 'and gc leaves the living alone')
    },
  )

  t.test(
    `${executable.name}: after a killed ADD, ADD works without a DEL between`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await withWitness(host)
      const steps = await killEverywhere(t, {
        host,
        verb: 'ADD',
        before: () => host.ok('DEL', VICTIM),
        after: async (t, { what }) => {
          const add = await host.call('ADD', VICTIM)
          // Killed once all stood, only the answer was missing: then the attachment is live, and says so
          // (docs/architecture/cni.md#a5).
          t.ok(add.rc === 0 || add.json.code === 102, `${what}: ADD: ${add.stdout}`)
          t.same(await standing(host), BOTH, what)
          await host.ok('DEL', VICTIM)
          t.same(await standing(host), ALONE, what)
        },
      })
      sawAll(t, steps, KINDS)
    },
  )
}
