/**
 * UDP that answers probes and carries far less than the pair needs, or nothing: packets go back to the gateway path.
 */
import { once } from 'node:events'
import t from 'tap'
import {
  directAgain,
  leavesUdp,
  type P2pPair,
  PATIENCE_MS,
  p2pPair,
  pathTo,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { keepsBound } from '../helpers/run/bound.ts'
import { waitFor } from '../helpers/run/wait.ts'

const BOUND_MS = 15_000

/**
 * A TCP stream from apple to berry that has filled the path for 4 s, so that it has shown what it can.
 * @returns its end
 */
async function stream({ apple, berry }: P2pPair): Promise<() => Promise<void>> {
  const server = berry.spawn('iperf3', '-s', '-p', '9100')
  await waitFor('iperf3 listens', PATIENCE_MS, () => berry.ns.exec('ss', '-Hltn').includes(':9100 '))
  // Into a pipe iperf3 writes nothing before its end, unless it is told to.
  const client = apple.spawn('iperf3', '-c', berry.ip, '-p', '9100', '-t', '60', '--forceflush')
  let seconds = 0
  client.stdout?.setEncoding('utf8').on('data', (text: string) => {
    seconds += text.split('sec').length - 1
  })
  await waitFor('4 s of the stream', PATIENCE_MS, () => seconds >= 4)
  return async () => {
    client.kill('SIGKILL')
    server.kill('SIGKILL')
    await once(server, 'exit')
  }
}

const faults: Readonly<Record<string, { readonly begin: (pair: P2pPair) => void; readonly reason: RegExp }>> =
  {
    '1 Mbit/s with a queue': {
      begin: ({ faults }) => faults.throttle(1, 1_000),
      // Whichever shows first: probes that wait in the queue, or those that find it full.
      reason: /slower|jitter|congested|loses|stopped answering/,
    },
    '1 Mbit/s without a queue': {
      begin: ({ faults }) => faults.police(1, 2, 125),
      reason: /congested|loses/,
    },
    'nothing but probes': {
      begin: ({ faults }) => faults.dropData(1, 2),
      reason: /answers probes and loses the packets/,
    },
  }

t.test('two hosts with a direct path', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t)
  for (const [name, { begin, reason }] of Object.entries(faults))
    await t.test(name, (t) =>
      keepsBound(t, 'left', BOUND_MS, async () => {
        await directAgain(pair)
        const end = await stream(pair)
        begin(pair)
        const ms = await leavesUdp(pair)
        const { reason: said } = await pathTo(pair.one, 2)
        t.comment(said)
        await end()
        // A host that waits for a processor may find other reasons, and sooner.
        return reason.test(said) ? ms : Number.POSITIVE_INFINITY
      }),
    )
})
