/** The section `paths.nebula` of flatnet.yaml: off unless it says so, and a network of its own. */

import t from 'tap'
import { daemonConf } from '../../../conf/daemon.ts'

const nebula = (value: unknown, more: object = {}) =>
  daemonConf({ hostId: 1, ...more, paths: { nebula: value } }).paths.nebula
const network = { base: 0x0a650000, prefixLen: 16 }

t.test('values', (t) => {
  const off = { enabled: false, lighthouses: new Map(), network, port: 4_242, mtu: 1_300 }
  t.same(nebula(undefined), off)
  t.same(nebula({ enabled: true, device: 'nebula1' }), { ...off, enabled: true, device: 'nebula1' })
  t.same(
    nebula({
      lighthouses: {
        1: ['192.0.2.1:4242', '[2001:db8::1]:4242'],
        7: 'hub.example:4242',
        '10.101.255.1': 'old.example:4242',
      },
    }).lighthouses,
    new Map([
      [0x0a650001, ['192.0.2.1:4242', '[2001:db8::1]:4242']],
      [0x0a650007, ['hub.example:4242']],
      [0x0a65ff01, ['old.example:4242']],
    ]),
  )
  t.same(nebula({ enabled: true, network: '192.168.100.0/24', mtu: 1_440, port: 5_000 }), {
    ...off,
    enabled: true,
    network: { base: 0xc0a86400, prefixLen: 24 },
    mtu: 1_440,
    port: 5_000,
  })
  t.end()
})

t.test('what is refused', (t) => {
  const cases: [value: unknown, more: object, problem: RegExp][] = [
    [{ enable: true }, {}, /paths\.nebula\.enable is true: no such key; did you mean enabled\?/],
    [
      { enabled: true, network: '10.100.0.0/17' },
      {},
      /paths\.nebula\.network is "10\.100\.0\.0\/17": must not overlap the supernet, 10\.100\.0\.0\/16/,
    ],
    [{ enabled: true }, { supernet: '10.0.0.0/8' }, /network is "10\.101\.0\.0\/16": must not overlap/],
    [
      { enabled: true, network: '192.168.100.0/28' },
      { hostId: 15 },
      /network is "192\.168\.100\.0\/28": must have an address for host 15/,
    ],
    [{ network: '10.101.0.1/16' }, {}, /network is "10\.101\.0\.1\/16": must be an IPv4 network/],
    [{ device: 'flatnet-gw' }, {}, /device is "flatnet-gw": must be the name of Nebula's device/],
    [{ device: 'a/b' }, {}, /device is "a\/b"/],
    [
      { lighthouses: { one: ['192.0.2.1:4242'] } },
      {},
      /lighthouses .*must be hostIds, or addresses in 10\.101\.0\.0\/16, with/,
    ],
    [
      { lighthouses: { '192.168.100.1': ['192.0.2.1:4242'] } },
      {},
      /lighthouses .*addresses in 10\.101\.0\.0\/16/,
    ],
    [{ lighthouses: { 70000: ['192.0.2.1:4242'] } }, {}, /lighthouses/],
    [{ lighthouses: { '10.101.255.1': [] } }, {}, /lighthouses/],
    [{ lighthouses: { 1: ['192.0.2.1'] } }, {}, /lighthouses/],
    [{ lighthouses: { 1: [] } }, {}, /lighthouses/],
    [{ lighthouses: ['192.0.2.1:4242'] }, {}, /lighthouses/],
    [{ port: 0 }, {}, /port is 0/],
    [{ mtu: 100 }, {}, /mtu is 100/],
  ]
  for (const [value, more, problem] of cases) t.throws(() => nebula(value, more), problem, String(problem))
  t.end()
})

t.test('where Nebula is off, or a service has its own network, the default may overlap', (t) => {
  const wide = { supernet: '10.0.0.0/8' }
  t.doesNotThrow(() => nebula(undefined, wide))
  t.doesNotThrow(() => nebula({ enabled: true, device: 'nebula1' }, wide))
  t.end()
})
