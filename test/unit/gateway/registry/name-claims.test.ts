/** Which host a name leads to when several have it: the first here, whatever dates they claim. */
import t from 'tap'
import { Events } from '../../../../gateway/base/events.ts'
import { Registry } from '../../../../gateway/registry/registry.ts'
import { Slices } from '../../../../gateway/registry/slices.ts'
import { assignmentOf } from '../../../helpers/gateway/gateway-samples.ts'

const MINUTE = 60_000

/** A registry of host 1, long after its start, and tables of other hosts. */
function hosts({ isLongAfterStart = true } = {}) {
  let now = 1_000_000
  const clock = { now: () => now, monotonic: () => now }
  const registry = new Registry(
    1,
    1,
    new Events(),
    new Slices({ base: 0x0a640000, prefixLen: 16 }, 24),
    clock,
  )
  if (isLongAfterStart) now += MINUTE
  let seq = 0
  return {
    registry,
    pass(ms: number) {
      now += ms
    },
    /** The whole table of a host, as it sends it. */
    table(hostId: number, ...containers: { name: string; createdAt?: string; last?: number }[]) {
      const rows = containers.map(({ last = 10, ...more }, i) =>
        assignmentOf({
          hostId,
          containerId: `c${hostId}-${i}`,
          ips: [`10.100.${hostId}.${last}/24`],
          ...more,
        }),
      )
      registry.replace(hostId, { epoch: 1, seq: ++seq }, rows)
      registry.setFreshness(hostId, 'live')
    },
    get web() {
      return registry.byName('web').map((a) => a.hostId)
    },
  }
}

t.test('a row dated 9999 takes no name of another host', async (t) => {
  const net = hosts()
  net.table(3, { name: 'web' })
  net.table(2, { name: 'web', createdAt: '9999-12-31T23:59:59.999Z' })
  t.same(net.web, [3, 2])
  net.table(3, { name: 'web', createdAt: '2026-11-28T00:00:00.000Z' }, { name: 'db', last: 11 })
  t.same(net.web, [3, 2], 'its table came anew, with another row')
  t.same(net.registry.shadowed(2, 10), [{ name: 'web', by: 3 }])
  t.same(net.registry.shadowed(3, 10), [])
  net.registry.setFreshness(3, 'unreachable')
  t.same(net.web, [2, 3], 'the one that is reached')
})

t.test('a container that is made anew finds its name again, for ten minutes', async (t) => {
  const net = hosts()
  net.table(3, { name: 'web' })
  net.table(3)
  net.table(2, { name: 'web' })
  net.pass(MINUTE)
  net.table(3, { name: 'web' })
  t.same(net.web, [3, 2])
  net.table(3)
  net.pass(10 * MINUTE)
  net.table(3, { name: 'web' })
  t.same(net.web, [2, 3], 'then the name is the other host’s')
})

t.test('after a start tables come in any order: the lower hostId', async (t) => {
  const net = hosts({ isLongAfterStart: false })
  net.table(3, { name: 'web' })
  net.table(2, { name: 'web' })
  t.same(net.web, [2, 3])
})

t.test('the own host, and within one host the newest', async (t) => {
  const net = hosts()
  net.table(2, { name: 'web' })
  net.registry.put(assignmentOf({ hostId: 1, containerId: 'own', name: 'web', ips: ['10.100.1.10/24'] }))
  t.same(net.web, [2, 1], 'no host is above another')
  net.table(
    2,
    { name: 'web', createdAt: '2026-01-01T00:00:00.000Z' },
    { name: 'web', createdAt: '2026-02-01T00:00:00.000Z', last: 11 },
  )
  t.same(
    net.registry.byName('web').map((a) => a.ips[0]),
    ['10.100.2.11/24', '10.100.2.10/24', '10.100.1.10/24'],
  )
})
