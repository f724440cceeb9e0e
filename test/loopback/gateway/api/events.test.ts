/** The event bus, and its stream over the API. */

import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { Events } from '../../../../gateway/base/events.ts'
import { followEvents } from '../../../helpers/gateway/gateway-events.ts'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { assignmentOf } from '../../../helpers/gateway/gateway-samples.ts'
import { until } from '../../../helpers/gateway/gateway-upstream.ts'

t.test('the bus numbers, remembers within bounds, and knows what it forgot', (t) => {
  const events = new Events()
  const seen: number[] = []
  const stop = events.listen((n) => seen.push(n.id))
  const event = { type: 'assignmentAdded', assignment: assignmentOf() } as const
  for (let i = 0; i < 3; i++) events.emit(event)
  stop()
  for (let i = 0; i < 600; i++) events.emit(event)
  t.same(seen, [1, 2, 3])
  t.equal(events.since(600)?.length, 3)
  t.same(events.since(603), [])
  t.equal(events.since(91)?.length, 512)
  t.equal(events.since(90), undefined, 'forgotten')
  t.equal(events.since(604), undefined, 'from another run')
  t.end()
})

t.test('events arrive as they happen, and again for who comes back', async (t) => {
  const gw = await startGateway(t)
  const reader = await followEvents(gw.socket)
  t.equal(reader.res.headers['content-type'], 'text/event-stream')
  const web = await gw.register({ name: 'web' })
  await gw.api(`/v1/assignments/flatnet/${web.containerId}/eth0`, { method: 'DELETE' })
  await until(() => reader.events().length === 3)
  t.match(reader.events(), [
    { type: 'hello' },
    { type: 'assignmentAdded', data: { assignment: { name: 'web' } } },
    { type: 'assignmentRemoved', data: { assignment: { name: 'web' } } },
  ])
  reader.close()
  const again = await followEvents(gw.socket, reader.events()[1]!.id)
  await until(() => again.events().length === 1)
  t.match(again.events(), [{ type: 'assignmentRemoved' }])
  again.close()
  const lost = await followEvents(gw.socket, '1-1')
  await until(() => lost.events().length === 1)
  t.match(lost.events(), [{ type: 'reset', data: {} }])
  lost.close()
  await until(async () => /event_readers 0$/m.test((await gw.api('/metrics')).body), 'readers are forgotten')
})

t.test('a reader that does not read is disconnected; others go on', async (t) => {
  const gw = await startGateway(t)
  const slow = connect(gw.socket)
  slow.on('error', () => {})
  slow.write('GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(slow, 'readable')
  const good = await followEvents(gw.socket)
  let n = 0
  await until(async () => {
    // Each change sends both versions: about 30 KB.
    const aliases = Array.from({ length: 100 }, (_, i) => `${n}-${i}-${'a'.repeat(150)}`)
    n++
    await gw.register({ containerId: 'same', ips: ['127.1.1.1/16'], aliases })
    return /^flatnet_api_slow_readers_total 1$/m.test((await gw.api('/metrics')).body)
  }, 'slow reader dropped')
  await until(() => good.events().length === n + 1, 'the other reader has all')
  good.close()
  slow.destroy()
})

t.test('too many readers are refused', async (t) => {
  const gw = await startGateway(t)
  const readers = await Promise.all(Array.from({ length: 64 }, () => followEvents(gw.socket)))
  t.equal((await gw.api('/v1/events')).status, 503)
  for (const reader of readers) reader.close()
})
