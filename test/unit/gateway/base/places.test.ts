/** gateway/base/places: who makes room when all places are taken, and what is left on a connection that goes on. */
import { EventEmitter } from 'node:events'
import t from 'tap'
import { Places } from '../../../../gateway/base/places.ts'

class Connection extends EventEmitter {
  isDestroyed = false

  destroy(): void {
    this.isDestroyed = true
    this.emit('close')
  }
}

t.test('a kept connection that enters after each request carries one listener', (t) => {
  const places = new Places<Connection>({ max: 4, maxOfClient: 4 })
  const connection = new Connection()
  for (let request = 0; request < 20; request++) {
    places.enter('', connection, connection)
    t.equal(connection.listenerCount('close'), 1)
    places.leave('', connection)
    t.equal(connection.listenerCount('close'), 0)
  }
  places.enter('', connection, connection)
  t.equal(places.count, 1)
  connection.destroy()
  t.equal(places.count, 0)
  t.end()
})

t.test('the oldest of the client with most connections makes room', (t) => {
  const places = new Places<number>({ max: 3, maxOfClient: 2 })
  const connections = Array.from({ length: 5 }, () => new Connection())
  const enter = (client: string, i: number): void => {
    const connection = connections[i]
    if (connection !== undefined) places.enter(client, i, connection)
  }
  const destroyed = (): number[] => connections.flatMap(({ isDestroyed }, i) => (isDestroyed ? [i] : []))
  enter('a', 0)
  enter('a', 1)
  enter('b', 2)
  enter('c', 3)
  t.same(destroyed(), [0], 'all places were taken')
  places.leave('c', 3)
  enter('b', 3)
  enter('b', 4)
  t.same(destroyed(), [0, 2], 'a client has two at most')
  places.closeAll()
  t.same(destroyed(), [0, 1, 2, 3, 4])
  t.equal(places.count, 0)
  t.end()
})
