/** Others that hold the lock, die with it, or come all at once (docs/architecture/cni.md#c7, #p13). */
import t from 'tap'
import type { Call, CniHost } from '../helpers/cni/cni.ts'
import { faultHost, litter, needsStrace, standing } from '../helpers/cni/fault.ts'
import { NOBODY } from '../helpers/cni/fault-kill.ts'
import type { Background } from '../helpers/kernel/machine.ts'
import { executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const MANY = 50
const ids = Array.from({ length: MANY }, (_, i) => `c${i}`)
const portOf = (id: string): Call => ({
  containerId: id,
  conf: {
    runtimeConfig: {
      portMappings: [{ hostPort: 10_000 + Number(id.slice(1)), containerPort: 80, protocol: 'tcp' }],
    },
  },
})

/** `flock` of util-linux: another process with the lock of the network. */
async function holder(host: CniHost): Promise<Background> {
  const lock = `${host.dataDir}/ipam/flatnet/lock`
  await host.m.sh(`mkdir -p ${host.dataDir}/ipam/flatnet; touch ${lock}`)
  const held = await host.m.start(['flock', '--no-fork', lock, 'sleep', '600'], { name: 'holder' })
  await waitFor(
    'the lock is held',
    5_000,
    async () => (await host.m.run(['flock', '-n', lock, 'true'])).rc === 1,
  )
  return held
}

/** Without any of our code: every address once, every link up on the one bridge, all reachable. */
async function checkAll(t: import('tap').Test, host: CniHost): Promise<void> {
  const leases = host.leases()
  t.equal(new Set(leases.map(({ ip }) => ip)).size, MANY, 'distinct addresses')
  t.ok(leases.every(({ state }) => state === 'active'))
  const sorted = [...ids].sort()
  t.same(await standing(host), { leases: sorted, links: sorted, publishers: sorted })
  const bridges: { ifname: string }[] = await host.m.json('ip', '-j', 'link', 'show', 'type', 'bridge')
  t.same(
    bridges.map(({ ifname }) => ifname),
    ['flatnet0'],
  )
  const text = await host.m.exec('nft', 'list', 'ruleset')
  t.equal(text.match(/chain publish \{/g)?.length, 1, 'one ruleset')
  t.equal(text.match(/dnat ip to/g)?.length, 2, 'and no rule in it twice')
  // Echo requests one after the other, each answered: the bridge reaches every container.
  const pings = leases.map(({ ip }) => `busybox ping -c 1 -W 2 ${ip} >/dev/null || echo ${ip}`)
  t.equal(await host.m.sh(pings.join('\n')), '', 'all answer')
}

for (const executable of executables()) {
  t.test(
    `${executable.name}: ${MANY} first-ever ADDs at once, then ${MANY} DELs at once`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.m.sh(ids.map((id) => `ip netns add ${id}`).join('\n'))
      const added = await Promise.all(ids.map((id) => host.call('ADD', portOf(id))))
      t.same(
        added.filter(({ rc }) => rc !== 0).map(({ stdout }) => stdout),
        [],
      )
      await checkAll(t, host)
      const deleted = await Promise.all(ids.map((id) => host.call('DEL', portOf(id))))
      t.same(
        deleted.filter(({ rc }) => rc !== 0).map(({ stdout }) => stdout),
        [],
      )
      t.same(await standing(host), NOBODY)
      t.same(litter(host), [])
      const again = await Promise.all(ids.map((id) => host.call('ADD', portOf(id))))
      t.same(
        again.filter(({ rc }) => rc !== 0).map(({ stdout }) => stdout),
        [],
        'and once more on the host as it is now',
      )
      await checkAll(t, host)
    },
  )

  t.test(
    `${executable.name}: a lock whose holder is stopped is waited for with a bound, and its pid is named`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      const held = await holder(host)
      await held.kill('SIGSTOP')
      const began = performance.now()
      const reply = await host.call('ADD')
      const seconds = (performance.now() - began) / 1_000
      t.match(reply.json, { code: 11, msg: new RegExp(`held by process ${held.pid} \\(`) }, reply.stdout)
      t.ok(seconds > 5 && seconds < 20, `${seconds} s`)
      t.same(await standing(host), NOBODY)
      await held.kill('SIGKILL')
      await host.ok('ADD')
    },
  )

  t.test(
    `${executable.name}: the lock of a killed holder is free at once`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      const held = await holder(host)
      const adding = host.call('ADD')
      await held.kill('SIGKILL')
      t.equal((await adding).rc, 0)
      t.equal(host.leases().length, 1)
    },
  )
}
