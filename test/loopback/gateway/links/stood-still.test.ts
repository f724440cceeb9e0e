/** gateway/peers: links and a process that stands still. Apart from other tests, as they would stand still with it. */
import t from 'tap'
import { testCluster } from '../../../helpers/cluster/cluster.ts'
import { pair, WAIT } from '../../../helpers/cluster/peer-hosts.ts'
import { waitFor } from '../../../helpers/run/wait.ts'

t.test('a machine that stood still for more than three seconds takes nobody for dead', async (t) => {
  const [a, b] = await pair(t, await testCluster())
  // Timers come next in this phase of the event loop, before anything is read.
  await new Promise<void>((resolve) => {
    setImmediate(() => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_600)
      resolve()
    })
  })
  a.links.send(2, { type: 'test.hello' })
  b.links.send(1, { type: 'test.hello' })
  await waitFor('both are heard', WAIT, () => a.messages.length + b.messages.length === 2)
  t.same([...a.log, ...b.log], ['up 2', 'up 1'])
})
