/** gateway/links/message-handlers.ts: which part gets a message of a peer. */
import t from 'tap'
import { MessageHandlers } from '../../../../gateway/links/message-handlers.ts'

t.test('a whole type goes before its prefix, and only whole prefixes count', (t) => {
  const handlers = new MessageHandlers()
  const [registry, leave] = [() => {}, () => {}]
  handlers.add('registry.', registry)
  handlers.add('registry.leave', leave)
  for (const [type, handler] of [
    ['registry.hello', registry],
    ['registry.leave', leave],
    ['registry.leave.now', registry],
    ['registry', undefined],
    ['registryx.hello', undefined],
    ['my.registry.hello', undefined],
    ['', undefined],
    ['.', undefined],
    ['__proto__', undefined],
  ] as const)
    t.equal(handlers.of({ type }), handler, type)
  t.end()
})

t.test('two parts cannot register for the same messages', (t) => {
  const handlers = new MessageHandlers()
  handlers.add('paths.', () => {})
  t.throws(() => handlers.add('paths.', () => {}), { message: 'messages paths. are handled already' })
  t.end()
})
