/** gateway/base/slots: who makes room when all slots are taken, and what is left on a connection that goes on. */
import { EventEmitter } from 'node:events'
import t from 'tap'
import { ConnectionSlots } from '../../../../gateway/base/connection-slots.ts'

class Connection extends EventEmitter {
  isDestroyed = false

  destroy(): void {
    this.isDestroyed = true
    this.emit('close')
  }
}

t.test('a kept connection that enters after each request carries one listener', (t) => {
  const slots = new ConnectionSlots<Connection>({ max: 4, maxOfClient: 4 })
  const connection = new Connection()
  for (let request = 0; request < 20; request++) {
    slots.enter('', connection, connection)
    t.equal(connection.listenerCount('close'), 1)
    slots.leave('', connection)
    t.equal(connection.listenerCount('close'), 0)
  }
  slots.enter('', connection, connection)
  t.equal(slots.count, 1)
  connection.destroy()
  t.equal(slots.count, 0)
  t.end()
})

t.test('the oldest of the client with most connections makes room', (t) => {
  const slots = new ConnectionSlots<number>({ max: 3, maxOfClient: 2 })
  const connections = Array.from({ length: 5 }, () => new Connection())
  const enter = (client: string, i: number): void => {
    const connection = connections[i]
    if (connection !== undefined) slots.enter(client, i, connection)
  }
  const destroyed = (): number[] => connections.flatMap(({ isDestroyed }, i) => (isDestroyed ? [i] : []))
  enter('a', 0)
  enter('a', 1)
  enter('b', 2)
  enter('c', 3)
  t.same(destroyed(), [0], 'all slots were taken')
  slots.leave('c', 3)
  enter('b', 3)
  enter('b', 4)
  t.same(destroyed(), [0, 2], 'a client has two at most')
  slots.closeAll()
  t.same(destroyed(), [0, 1, 2, 3, 4])
  t.equal(slots.count, 0)
  t.end()
})
