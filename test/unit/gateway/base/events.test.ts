/** gateway/base/events.ts: the order in which listeners hear of events, also of those that a listener emits. */
import t from 'tap'
import { Events } from '../../../../gateway/base/events.ts'

const host = (hostId: number) => ({ type: 'hostChanged', hostId, state: 'live' }) as const

t.test('an event that a listener emits is told after the one it was told', async (t) => {
  const events = new Events()
  const heard: string[] = []
  events.listen(({ id, event }) => {
    heard.push(`first ${id}`)
    if (event.type === 'hostChanged' && event.hostId === 1) events.emit(host(2))
  })
  events.listen(({ id }) => heard.push(`second ${id}`))
  events.emit(host(1))
  events.emit(host(3))
  t.strictSame(heard, ['first 1', 'second 1', 'first 2', 'second 2', 'first 3', 'second 3'])
  t.strictSame(
    events.since(0)?.map(({ id }) => id),
    [1, 2, 3],
  )
})

t.test('a listener that throws does not silence those that follow', async (t) => {
  const events = new Events()
  const heard: number[] = []
  const stop = events.listen(() => {
    throw new Error('a mistake')
  })
  events.listen(({ id }) => heard.push(id))
  t.throws(() => events.emit(host(1)))
  stop()
  events.emit(host(2))
  t.strictSame(heard, [2])
})
