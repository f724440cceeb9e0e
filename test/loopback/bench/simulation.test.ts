/** 40 gateways in one process with a fake clock and network (bench/simulation.ts) agree, in time and within memory. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import type { SimulationFigures } from '../../../bench/simulation.ts'
import { ROOT } from '../../helpers/run/executable.ts'

/** The claim is about 254, which takes over a minute and 4 GB: `npm run bench simulation`, once a night. */
const HOSTS = 40

t.test(`${HOSTS} hosts, 1,000 changes at once`, async (t) => {
  const argv = [
    '--disable-warning=ExperimentalWarning',
    join(ROOT, 'bench/simulation.ts'),
    `${HOSTS}`,
    '--brief',
  ]
  // The program compares the tables by content; a difference ends it with an error.
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, {
    encoding: 'utf8',
    timeout: 60_000,
    // Without what tap adds for coverage.
    env: { PATH: process.env['PATH'] },
  })
  t.equal(status, 0, stderr.slice(-2_000))
  const lines = stdout.trimEnd().split('\n')
  const { changesMs, memoryMiB }: SimulationFigures = JSON.parse(lines.at(-1) ?? '{}')
  t.ok(changesMs <= 5_000, `seen by all after ${changesMs} ms of simulated time`)
  t.ok(memoryMiB <= 200, `${Math.round(memoryMiB)} MiB for one gateway`)
  for (const line of lines.slice(0, -1)) t.comment(line)
})
