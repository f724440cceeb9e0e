/** gateway/links/handshake-guard: a client that takes all the room before TLS loses it, and no other does. */
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import t from 'tap'
import { HandshakeGuard } from '../../../../gateway/links/handshake-guard.ts'

let ports = 1

class Caller extends EventEmitter {
  readonly remoteAddress: string | undefined
  readonly remotePort = ports++
  destroyed = false

  constructor(remoteAddress?: string) {
    super()
    this.remoteAddress = remoteAddress
  }

  destroy(): void {
    this.destroyed = true
    this.emit('close')
  }
}

const knock = (greeting: HandshakeGuard, address?: string): { caller: Caller; isIn: boolean } => {
  const caller = new Caller(address)
  return { caller, isIn: greeting.admit(caller as unknown as Socket) }
}

t.test(
  '256 of one address, then its oldest makes room; those that are done, or gone, do not count',
  async (t) => {
    const greeting = new HandshakeGuard()
    const all = Array.from({ length: 256 }, () => knock(greeting, '192.0.2.1'))
    t.ok(all.every(({ isIn }) => isIn))
    const gone = () => all.filter(({ caller }) => caller.destroyed).length
    t.ok(knock(greeting, '192.0.2.1').isIn, 'one more is let in')
    t.ok(all[0]!.caller.destroyed, 'the oldest went')
    t.ok(knock(greeting, '192.0.2.2').isIn)
    t.equal(gone(), 1, 'another address costs it nothing')
    t.notOk(knock(greeting).isIn, 'one that was reset has no address')
    greeting.done(all[1]!.caller)
    all[2]?.caller.destroy()
    greeting.done(all[2]!.caller)
    t.ok(knock(greeting, '192.0.2.1').isIn)
    t.ok(knock(greeting, '192.0.2.1').isIn)
    t.equal(gone(), 2, 'there was room for two')
    t.ok(knock(greeting, '192.0.2.1').isIn)
    t.ok(all[3]!.caller.destroyed)
  },
)

t.test('1,024 in all: then the oldest of the client with most makes room', async (t) => {
  const greeting = new HandshakeGuard()
  const strangers = [1, 2, 3].flatMap((n) =>
    Array.from({ length: 256 }, () => knock(greeting, `192.0.2.${n}`)),
  )
  const members = Array.from({ length: 400 }, (_, n) => knock(greeting, `10.0.${n >> 8}.${n & 255}`))
  t.ok(members.every(({ isIn, caller }) => isIn && !caller.destroyed))
  t.equal(strangers.filter(({ caller }) => caller.destroyed).length, 3 * 256 + 400 - 1_024)
  t.ok(strangers[0]?.caller.destroyed)
  greeting.stop()
  t.ok([...strangers, ...members].every(({ caller }) => caller.destroyed))
  t.ok(knock(greeting, '192.0.2.1').isIn, 'all are counted out')
})
