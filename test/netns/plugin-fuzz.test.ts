/**
 * Whatever comes by stdin and environment: an exit code, at most one JSON document, and nothing that GC cannot
 * take away (docs/architecture/cni.md#c2, #c3).
 */
import t from 'tap'
import { faultHost, litter, standing } from '../helpers/cni/fault.ts'
import type { Seen } from '../helpers/cni/fault-fuzz.ts'
import { NOBODY } from '../helpers/cni/fault-kill.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { cliExecutable } from '../helpers/run/executable.ts'

const RUNS = 1_500
/** The same ones each time: a run that fails can be repeated. */
const SEEDS = [1, 2]

for (const seed of SEEDS)
  t.test(`${RUNS} inputs of seed ${seed}`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, cliExecutable())
    await host.container('c1')
    const program = new URL('../helpers/cni/fault-fuzz.ts', import.meta.url).pathname
    const node = [process.execPath, '--disable-warning=ExperimentalWarning']
    const seen: Seen = JSON.parse(await host.m.exec(...node, program, String(RUNS), String(seed)))
    t.equal(seen.failure, undefined, 'each run ends as the specification says')
    for (const outcome of ['ADD 0', 'ADD 1', 'DEL 0', 'DEL 1', 'CHECK 1', 'GC 0', 'STATUS 0', 'VERSION 0'])
      t.ok(seen.outcomes[outcome], `${outcome}: ${JSON.stringify(seen.outcomes)}`)
    const { name, ...conf } = host.conf({ dataDir: '/dev/shm/f' })
    // Networks that fuzzing named otherwise are collected under their own names.
    const names = (await host.m.run(['ls', '/dev/shm/f/ipam'])).stdout
      .split('\n')
      .filter((network) => network !== '')
    for (const network of new Set([String(name), ...names]))
      await host.ok('GC', {
        stdin: JSON.stringify({ ...conf, name: network, 'cni.dev/valid-attachments': [] }),
      })
    t.same(await standing(host), NOBODY)
    t.same(litter(host), [])
  })
