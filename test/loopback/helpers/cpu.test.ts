/** CPU time and calm are read from the kernel's counters. */
import t from 'tap'
import { busyProcessors, calm, cpuSecondsOf } from '../../helpers/run/cpu.ts'

t.test('a process with all that it waited for, whatever its name is', async (t) => {
  const stat = '7 (node) 1 (x) R 1 7 7 0 -1 4194304 9 9 0 0 150 50 1000 300 20 0 7 0 99 1 1'
  t.equal(cpuSecondsOf(stat), 15)
})

/** @param ticks user, nice, system, idle, iowait, irq, softirq, steal */
const stat = (...ticks: number[]): string => `cpu  ${ticks.join(' ')} 0 0\ncpu0 1 2 3\n`

t.test('processors at work: idle and waiting for a disk are none, stolen is', async (t) => {
  const before = stat(100, 0, 50, 1_000, 10, 0, 0, 0)
  t.equal(busyProcessors(before, stat(200, 0, 100, 1_400, 20, 10, 10, 20), 2), (190 / 600) * 2)
  t.equal(busyProcessors(before, before, 2), 0)
})

/** @param busy how many of two processors work during each look; the last goes on */
async function looks(...busy: number[]): Promise<{ readonly text: string; readonly count: number }> {
  let [work, idle, count] = [0, 0, 0]
  const pause = async (ms: number): Promise<void> => {
    const share = (busy[count++] ?? busy.at(-1) ?? 0) / 2
    work += share * ms
    idle += (1 - share) * ms
  }
  const text = await calm({ processors: 2, stat: () => stat(work, 0, 0, idle, 0, 0, 0, 0), pause })
  return { text, count }
}

t.test('calm at once', async (t) =>
  t.same(await looks(0.1), { text: 'others used 0.1 of 2 processors', count: 1 }),
)
t.test('calm after a while', async (t) =>
  t.same(await looks(2, 1, 0.5, 0.4), { text: 'others used 0.4 of 2 processors', count: 4 }),
)
t.test('never calm: a minute is enough', async (t) =>
  t.same(await looks(1.8), { text: 'others used 1.8 of 2 processors', count: 20 }),
)
