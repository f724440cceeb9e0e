/** gateway/links/handshake-guard: who takes all the room before TLS loses it, and nobody else. */
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

t.test('256 of one address; those that are done, or gone, do not count', async (t) => {
  const greeting = new HandshakeGuard()
  const all = Array.from({ length: 256 }, () => knock(greeting, '192.0.2.1'))
  t.ok(all.every(({ isIn }) => isIn))
  t.notOk(knock(greeting, '192.0.2.1').isIn)
  t.ok(knock(greeting, '192.0.2.2').isIn)
  t.notOk(knock(greeting).isIn, 'one that was reset has no address')
  greeting.done(all[0]!.caller)
  all[1]?.caller.destroy()
  greeting.done(all[1]!.caller)
  t.ok(knock(greeting, '192.0.2.1').isIn)
  t.ok(knock(greeting, '192.0.2.1').isIn)
  t.notOk(knock(greeting, '192.0.2.1').isIn)
})

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
