/** core/json.ts: which values are JSON objects, and keys in any case. */
import t from 'tap'
import { foldKeys, isObject } from '../../../core/json.ts'

t.test('an object is neither a list nor null', async (t) => {
  t.same([{}, [], null, 'x', undefined].map(isObject), [true, false, false, false, false])
})

t.test('keys are found in any case, and the last of two wins, as in Go', async (t) => {
  const names = ['hostPort', 'hostIP']
  t.same(foldKeys({ HostPort: 1, HOSTIP: 'x' }, names), { hostPort: 1, hostIP: 'x' })
  t.same(foldKeys({ HostPort: 1, hostPort: 2 }, names), { hostPort: 2 })
  t.same(foldKeys({ hostPort: 2, HostPort: 1 }, names), { hostPort: 1 })
  t.same(foldKeys({ host_port: 1, hostPorts: 2 }, names), { host_port: 1, hostPorts: 2 }, 'others stay')
  const plain = { hostPort: 1, other: 2 }
  t.equal(foldKeys(plain, names), plain, 'nothing to do makes no copy')
  const nasty = foldKeys(JSON.parse('{"__proto__": {"x": 1}, "HostPort": 7}'), names)
  t.same([nasty['hostPort'], nasty['x'], Object.hasOwn(nasty, '__proto__')], [7, undefined, true])
})
