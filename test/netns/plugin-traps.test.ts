/**
 * Traps of others that show in the order and kind of what is done: teardown order, programs started, paths
 * from the environment (docs/architecture/cni.md#p12, #p13, #p26).
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Call, CniHost, Verb } from '../helpers/cni/cni.ts'
import { faultHost, needsStrace, record } from '../helpers/cni/fault.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { executables } from '../helpers/run/executable.ts'

const CALL: Call = {
  containerId: 'a',
  conf: { runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] } },
}

/** Programs that a verb started besides itself. */
async function started(host: CniHost, verb: Verb): Promise<string[]> {
  const file = join(host.m.dir, 'execve')
  const strace = ['strace', '-f', '-qq', '-e', 'trace=execve', '-e', 'signal=none', '-o', file]
  await host.ok(verb, { ...CALL, wrapper: strace })
  const runs = readFileSync(file, 'utf8').match(/execve\("[^"]+"/g) ?? []
  return runs.map((run) => run.slice('execve("'.length, -1)).filter((path) => !path.endsWith('/flatnet'))
}

for (const executable of executables()) {
  t.test(
    `${executable.name}: DEL takes rules, then the link, then the lease`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('a')
      await host.ok('ADD', CALL)
      const steps = await record(host, 'DEL', CALL)
      const at = (kind: RegExp) => steps.findIndex(({ what }) => kind.test(what))
      const [rules, link, lease] = [at(/NFNL_MSG_BATCH/), at(/RTM_DELLINK/), at(/^rename ipam/)]
      t.ok(rules >= 0 && rules < link && link < lease, `${rules} < ${link} < ${lease}`)
    },
  )

  t.test(
    `${executable.name}: a lease is on disk before there is a link, and off it after`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('a')
      await host.ok('ADD', CALL)
      await host.ok('DEL', CALL)
      const block = 'ipam/flatnet/.10.100.1.0.json.tmp'
      const durable = [`fsync ${block}`, `rename ${block}`, 'fsync ipam/flatnet']
      const order = async (verb: Verb, link: string) => {
        const steps = (await record(host, verb, CALL)).map(({ what }) => what)
        return steps.filter((what) => durable.includes(what) || what.includes(link))
      }
      const [first, ...rest] = await order('ADD', 'RTM_NEWLINK')
      t.same([first, ...rest.slice(0, 2)], durable)
      t.match(rest[2], /RTM_NEWLINK/)
      const gone = await order('DEL', 'RTM_DELLINK')
      t.match(gone[0], /RTM_DELLINK/)
      t.same(gone.slice(1), durable)
    },
  )

  t.test(
    `${executable.name}: starts no other program once the table stands`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('a')
      t.match(await started(host, 'ADD'), [/\/nft$/], 'the first ADD loads the ruleset')
      t.same(await started(host, 'DEL'), [])
      t.same(await started(host, 'ADD'), [])
      t.same(await started(host, 'DEL'), [])
    },
  )

  t.test(
    `${executable.name}: DEL with another environment finds what ADD made`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('a')
      const env = (name: string): Record<string, string> =>
        Object.fromEntries(
          ['HOME', 'TMPDIR', 'XDG_RUNTIME_DIR', 'XDG_DATA_HOME', 'XDG_STATE_HOME', 'PWD'].map((key) => [
            key,
            `/run/${name}`,
          ]),
        )
      await host.ok('ADD', { ...CALL, env: env('one') })
      t.equal(host.leases().length, 1)
      await host.ok('DEL', { ...CALL, env: env('other') })
      t.same(await host.leftovers(), [])
    },
  )
}
