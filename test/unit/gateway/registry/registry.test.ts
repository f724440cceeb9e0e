/** The registry: one truth by key, address and name, with a version and an event for every change. */

import t from 'tap'
import { attachmentKey } from '../../../../core/attachment.ts'
import { Events, type GatewayEvent } from '../../../../gateway/base/events.ts'
import { Registry } from '../../../../gateway/registry/registry.ts'
import { Slices } from '../../../../gateway/registry/slices.ts'
import { assignmentOf } from '../../../helpers/gateway/gateway-samples.ts'

function fresh() {
  const events = new Events()
  const seen: GatewayEvent['type'][] = []
  events.listen(({ event }) => seen.push(event.type))
  return { registry: new Registry(1, 7, events, new Slices({ base: 0x0a640000, prefixLen: 16 }, 24)), seen }
}

t.test('put, change, remove keep all indexes and raise the version', (t) => {
  const { registry, seen } = fresh()
  const a = assignmentOf({ name: 'Web', aliases: ['WWW', 'web'], ips: ['10.100.1.10/24', '10.100.1.11/24'] })
  t.same(registry.version(1), { epoch: 7, seq: 0 })
  t.equal(registry.put(a), 'created')
  t.equal(registry.put({ ...a }), 'equal')
  t.same(registry.version(1), { epoch: 7, seq: 1 }, 'an equal one changes nothing')
  t.equal(registry.byIp('10.100.1.11'), a)
  t.same(registry.byName('WEB'), [a])
  const b = { ...a, name: 'site', ips: ['10.100.1.12/24'] }
  t.equal(registry.put(b), 'changed')
  t.equal(registry.byIp('10.100.1.10'), undefined)
  t.same(registry.byName('site'), [b])
  t.equal(registry.remove(attachmentKey(a)), b)
  t.equal(registry.remove(attachmentKey(a)), undefined)
  t.same([...registry.names()], [])
  t.same(registry.version(1), { epoch: 7, seq: 3 })
  t.equal(registry.version(2), undefined)
  t.same(seen, ['assignmentAdded', 'assignmentChanged', 'assignmentRemoved'])
  t.end()
})

t.test('one name, many containers: names before aliases, then the newest', (t) => {
  const { registry } = fresh()
  const at = (containerId: string, createdAt: string, more = {}) => {
    registry.put(assignmentOf({ containerId, createdAt, ...more }))
  }
  at('alias-new', '2026-03-01T00:00:00.000Z', { aliases: ['web'] })
  at('named-old', '2026-01-01T00:00:00.000Z', { name: 'web' })
  at('named-new', '2026-02-01T00:00:00.000Z', { name: 'WEB' })
  t.same(
    registry.byName('web').map((a) => a.containerId),
    ['named-new', 'named-old', 'alias-new'],
  )
  t.end()
})

t.test('an address has one holder: a later put takes it over whole', (t) => {
  const { registry, seen } = fresh()
  const a = assignmentOf({ ips: ['10.100.1.10/24'] })
  const b = assignmentOf({ ips: ['10.100.1.10/24'] })
  registry.put(a)
  t.same(registry.rivals(b), [a])
  registry.put(b)
  t.equal(registry.byIp('10.100.1.10'), b)
  t.equal(registry.size, 1)
  t.same(registry.rivals(b), [])
  t.same(seen, ['assignmentAdded', 'assignmentRemoved', 'assignmentAdded'])
  t.end()
})

t.test('names of objects are no traps', (t) => {
  const { registry } = fresh()
  t.same(registry.byName('__proto__'), [])
  t.equal(registry.byIp('constructor'), undefined)
  registry.put(assignmentOf({ name: '__proto__' }))
  t.equal(registry.byName('__PROTO__').length, 1)
  t.end()
})
