/**
 * Claim: how long containers are cut off from other hosts while their gateway restarts.
 *
 * Whole hosts in namespaces run the built executable. Every 10 ms a container sends a datagram to one on another host,
 * which sends it back.
 */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { hostContainer } from '../test/helpers/cluster/host-container.ts'
import { allLinked, joinedHosts } from '../test/helpers/cluster/hosts.ts'
import { traffic } from '../test/helpers/cluster/tunnel-traffic.ts'
import { waitFor } from '../test/helpers/run/wait.ts'
import { type Claim, figure } from './stats.ts'

const EVERY_MS = 10
const PORT = 9000

/**
 * `probe <address>`: for each line on stdin, prints the answers so far and the longest gap; `reset` forgets the gap.
 */
function probe(address: string): void {
  const socket = createSocket('udp4')
  let last = performance.now()
  let longest = 0
  let answers = 0
  socket.on('message', () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    answers++
  })
  // Without a route the kernel reports an error: it counts as a datagram without an answer.
  socket.on('error', () => {})
  setInterval(() => socket.send('x', PORT, address, () => {}), EVERY_MS)
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      if (line === 'reset') longest = 0
      process.stdout.write(`${JSON.stringify({ longest, answers })}\n`)
    })
    .on('close', () => process.exit(0))
}

interface Probed {
  readonly longest: number
  readonly answers: number
}

export async function benchRestart(isQuick: boolean): Promise<Claim> {
  const teardowns: (() => unknown)[] = []
  const t = { teardown: (fn: () => unknown) => void teardowns.push(fn) } as Parameters<typeof joinedHosts>[0]
  try {
    const net = await joinedHosts(t, 2)
    const [one, two] = [net.host(1), net.host(2)]
    const here = await hostContainer(t, one, 'here')
    const there = await hostContainer(t, two, 'there')
    there.spawn(...traffic('serve', PORT))
    await waitFor('it listens', 10_000, () => there.ns.exec('ss', '-Hlun').includes(`:${PORT} `))
    const child = here.spawn(
      process.execPath,
      '--disable-warning=ExperimentalWarning',
      import.meta.filename,
      'probe',
      there.ip,
    )
    const lines = createInterface({ input: child.stdout ?? process.stdin })
    const ask = async (line = ''): Promise<Probed> => {
      const answer = once(lines, 'line')
      child.stdin?.write(`${line}\n`)
      return JSON.parse(String((await answer)[0]))
    }
    const flows = async (): Promise<Probed> => {
      const { answers } = await ask()
      return waitFor('traffic flows', 20_000, async () => {
        const probed = await ask()
        return probed.answers >= answers + 30 ? probed : undefined
      })
    }
    const gaps: number[] = []
    for (let round = 0; round < (isQuick ? 2 : 10); round++) {
      await flows()
      await ask('reset')
      await (round % 2 === 0 ? one : two).restart()
      gaps.push((await flows()).longest)
      await allLinked(net)
    }
    const gap = figure('without traffic, gateway restarted', gaps)
    return {
      title: 'A gateway restarts: how long its containers are without traffic to another host',
      figures: [gap],
      rows: [{ what: 'restart until traffic flows', value: gap.value, unit: 'ms', bound: 3_000, aim: 1_000 }],
    }
  } finally {
    for (const teardown of teardowns.reverse()) await teardown()
  }
}

if (process.argv[1] === import.meta.filename) {
  const [, , program, address = ''] = process.argv
  if (program === 'probe') probe(address)
  else process.stdout.write(`${JSON.stringify(await benchRestart(true), null, 2)}\n`)
}
