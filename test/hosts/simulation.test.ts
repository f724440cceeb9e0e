/** 254 gateways with 62,000 assignments in one process, fake clock and network (bench/simulation.ts): all agree, in time and within memory. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import type { SimulationFigures } from '../../bench/simulation.ts'
import { ROOT } from '../helpers/run/executable.ts'

t.test('254 hosts, 1,000 changes at once', { timeout: 240_000 }, (t) => {
  const flags = ['--disable-warning=ExperimentalWarning', '--max-old-space-size=12288']
  const argv = [...flags, join(ROOT, 'bench/simulation.ts'), '254', '--brief']
  // Tables are compared by content in there, and a difference ends it with an error.
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, {
    encoding: 'utf8',
    timeout: 230_000,
    // Without what tap adds for coverage.
    env: { PATH: process.env['PATH'] },
  })
  t.equal(status, 0, stderr.slice(-2_000))
  const lines = stdout.trimEnd().split('\n')
  const { changesMs, memoryMiB }: SimulationFigures = JSON.parse(lines.at(-1) ?? '{}')
  t.ok(changesMs <= 5_000, `seen by all after ${changesMs} ms of simulated time`)
  t.ok(memoryMiB <= 200, `${Math.round(memoryMiB)} MiB for one gateway`)
  for (const line of lines.slice(0, -1)) t.comment(line)
  t.end()
})
