/**
 * SIGKILL at every step of DEL: Podman never repeats one by itself, but `podman rm -f` and the next ADD do
 * (docs/architecture/cni.md#p6, #p25).
 */
import t from 'tap'
import { faultHost, litter, needsStrace, standing } from '../helpers/cni/fault.ts'
import { ALONE, BOTH, killEverywhere, sawAll, VICTIM, withWitness } from '../helpers/cni/fault-kill.ts'
import { executables } from '../helpers/run/executable.ts'

const KINDS = [/^sendto NFNL_MSG_BATCH/, /^sendto RTM_DELLINK/, /^rename ipam/, /^unlink .*keys\/victim:eth0/]

for (const executable of executables()) {
  t.test(
    `${executable.name}: after a killed DEL, DEL or ADD finishes the work`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await withWitness(host)
      let turn = 0
      const steps = await killEverywhere(t, {
        host,
        verb: 'DEL',
        before: async () => {
          await host.ok('DEL', VICTIM)
          await host.ok('ADD', VICTIM)
        },
        after: async (t, { what }) => {
          // Every other time the container is started again before DEL is repeated.
          if (turn++ % 2 === 0) {
            const add = await host.call('ADD', VICTIM)
            // With its link still there it counts as live, and ADD asks for the DEL to be finished.
            if (add.rc === 0) t.same(await standing(host), BOTH, what)
            else t.match(add.json, { code: 102, msg: /a DEL has to come before another ADD/ }, what)
          }
          const del = await host.call('DEL', VICTIM)
          t.equal(del.rc, 0, `${what}: DEL: ${del.stdout}`)
          t.same(await standing(host), ALONE, what)
          t.same(litter(host), [], `${what}: no litter`)
        },
      })
      sawAll(t, steps, KINDS)
    },
  )
}
