/**
 * What the plugin says, and when: whole however slowly it is read, before it waits for anything, and a timeline on
 * request.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { faultHost, needsStrace } from '../helpers/cni/fault.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { executables } from '../helpers/run/executable.ts'

/** More than a pipe holds (64 KiB), so that the plugin has to wait for its reader. */
const prevResult = {
  cniVersion: '1.1.0',
  interfaces: Array.from({ length: 4_000 }, (_, i) => ({ name: `other${i}`, mac: '02:00:00:00:00:01' })),
  ips: [],
}
/** Reads nothing until the pipe has been full for a while. */
const slowly = ['bash', '-c', 'set -o pipefail; "$@" | { sleep 0.5; cat; }', 'slowly']

for (const executable of executables()) {
  t.test(`${executable.name}: a slow reader gets all of it`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    await host.container('c1')
    const result = await host.ok('ADD', { conf: { prevResult }, wrapper: slowly })
    t.equal(result.interfaces.length, 4_003)
    const routes = Array.from({ length: 20_000 }, (_, i) => ({ dst: `x${i}` }))
    const wrong = { ipam: { type: 'flatnet', hostId: 1, supernet: '10.100.0.0/16', routes } }
    const refused = await host.call('ADD', { conf: wrong, wrapper: slowly })
    t.equal(refused.rc, 1)
    t.match(JSON.stringify(refused.json), /ipam\.routes\[19999\]/, 'an error too')
  })

  t.test(
    `${executable.name}: ADD answers before it speaks to the gateway`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      const file = join(host.m.dir, 'calls')
      const trace = 'trace=write,connect'
      await host.ok('ADD', { wrapper: ['strace', '-qq', '-e', trace, '-e', 'signal=none', '-o', file] })
      const calls = readFileSync(file, 'utf8').split('\n')
      const answer = calls.findIndex((line) => line.startsWith('write(1, "{\\"cniVersion'))
      const gateway = calls.findIndex((line) => line.includes('gateway.sock'))
      t.ok(answer >= 0 && answer < gateway, `${answer} < ${gateway}`)
    },
  )

  t.test(`${executable.name}: FLATNET_TRACE=1 is a timeline on stderr`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    await host.container('c1')
    for (const [verb, steps] of Object.entries({
      ADD: ['configuration', 'lease', 'veth', 'container', 'bridge port', 'lease active', 'result'],
      DEL: ['configuration', 'deleting the link', 'releasing the lease', 'result'],
    })) {
      const { rc, stderr } = await host.call(verb, { env: { FLATNET_TRACE: '1' } })
      t.equal(rc, 0)
      const lines = stderr.trim().split('\n')
      const seen = lines.map((line) => /^ *[\d.]+ ms {2}\+ *[\d.]+ {2}(.+)$/.exec(line)?.[1] ?? line)
      t.same(
        seen.filter((step) => steps.includes(step)),
        steps,
        verb,
      )
      const times = lines.map((line) => Number.parseFloat(line))
      t.same(
        times,
        times.toSorted((a, b) => a - b),
        'in the order of time',
      )
    }
  })
}
