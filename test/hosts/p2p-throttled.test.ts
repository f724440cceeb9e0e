/** A UDP path that carries far less than the pair needs: packets go back to the gateway path. */
import t from 'tap'
import { becomesDirect, leavesUdp, p2pPair } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'

t.test('1 Mbit/s on UDP alone', { skip: needsRoot, timeout: 180_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { apple, berry, faults } = pair
  await becomesDirect(pair)
  const server = berry.spawn('iperf3', '-s', '-p', '9100')
  t.teardown(() => server.kill('SIGKILL'))
  // Into a pipe iperf3 writes nothing before its end, unless it is told to.
  const client = apple.spawn('iperf3', '-c', berry.ip, '-p', '9100', '-t', '40', '--forceflush')
  t.teardown(() => client.kill('SIGKILL'))
  // The path has to have shown what it can.
  const { promise, resolve } = Promise.withResolvers<void>()
  let seconds = 0
  client.stdout?.setEncoding('utf8').on('data', (text: string) => {
    seconds += text.split('sec').length - 1
    if (seconds >= 4) resolve()
  })
  await promise
  faults.throttle(1, 1_000)
  const ms = await leavesUdp(pair, 40_000)
  t.comment(`demoted after ${Math.round(ms)} ms (bound 15,000)`)
  t.ok(ms <= 15_000)
})
