/**
 * plugin/result.ts: one result for every version, and prevResult kept with its indexes right
 * (docs/architecture/cni.md#a3, #a7, #results).
 */
import t from 'tap'
import {
  type CniResult,
  EMPTY_RESULT,
  formatResult,
  mergeResults,
  readPrevResult,
} from '../../../plugin/result.ts'
import { SUPPORTED_VERSIONS } from '../../../plugin/versions.ts'
import { resultProblems } from '../../helpers/cni/cni-result.ts'

const OWN: CniResult = {
  interfaces: [
    { name: 'flatnet0', mac: '0a:64:0a:64:01:01', mtu: 1500 },
    { name: 'eth0', mac: '0a:64:0a:64:01:0a', mtu: 1500, sandbox: '/run/netns/c1' },
  ],
  ips: [{ address: '10.100.1.10/24', gateway: '10.100.1.1', interface: 1 }],
  routes: [{ dst: '0.0.0.0/0', gw: '10.100.1.1', mtu: 1400, advmss: 1360, priority: 5, table: 7, scope: 0 }],
  dns: {},
}

t.test('every version gets a result that its own rules allow', async (t) => {
  for (const version of SUPPORTED_VERSIONS)
    t.same(resultProblems(JSON.parse(formatResult(OWN, version)), version), [], version)
})

t.test('1.1.0 has all fields, 1.0.0 is stripped, 0.x carries the IP version and dns (1.5)', async (t) => {
  const { interfaces, ips, routes } = OWN
  t.same(JSON.parse(formatResult(OWN, '1.1.0')), { cniVersion: '1.1.0', interfaces, ips, routes })
  const v100 = JSON.parse(formatResult(OWN, '1.0.0'))
  t.same(v100.interfaces[0], { name: 'flatnet0', mac: '0a:64:0a:64:01:01' })
  t.same(v100.routes, [{ dst: '0.0.0.0/0', gw: '10.100.1.1' }])
  t.same(v100.ips, OWN.ips)
  t.notOk('dns' in v100)
  for (const version of ['0.3.0', '0.3.1', '0.4.0'] as const) {
    const old = JSON.parse(formatResult(OWN, version))
    t.same(old.ips, [{ version: '4', ...OWN.ips[0] }], version)
    t.same(old.dns, {}, 'Go of that time prints it empty')
  }
})

t.test('interface 0 is an index and is printed; absence stays absence (A7)', async (t) => {
  const ips = [{ address: '10.0.0.1/24', interface: 0 }, { address: 'fd00::1/64' }]
  const printed = JSON.parse(formatResult({ ...OWN, ips }, '0.4.0')).ips
  t.equal(printed[0].interface, 0)
  t.notOk('interface' in printed[1])
  t.equal(printed[1].version, '6')
})

t.test('dns is printed when it holds something, empty lists are left out', async (t) => {
  t.same(JSON.parse(formatResult({ ...EMPTY_RESULT, dns: { nameservers: ['1.1.1.1'] } }, '1.1.0')), {
    cniVersion: '1.1.0',
    dns: { nameservers: ['1.1.1.1'] },
  })
  t.same(JSON.parse(formatResult(EMPTY_RESULT, '1.0.0')), { cniVersion: '1.0.0' })
})

t.test(
  'prevResult comes first, untouched, and our addresses point at our interfaces behind its own (A3)',
  async (t) => {
    const prev = readPrevResult({
      cniVersion: '1.0.0',
      interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: '/run/netns/c1' }],
      ips: [{ address: '127.0.0.1/8', interface: 0 }, { address: '::1/128' }],
      routes: [{ dst: '10.9.0.0/16' }],
      dns: { domain: 'example' },
    })
    const merged = mergeResults(prev, OWN)
    t.same(
      merged.ips.map((ip) => ip.interface),
      [0, undefined, 2],
    )
    t.same(
      merged.interfaces.map((i) => i.name),
      ['lo', 'flatnet0', 'eth0'],
    )
    t.same(
      merged.routes.map((r) => r.dst),
      ['10.9.0.0/16', '0.0.0.0/0'],
    )
    t.same(merged.dns, { domain: 'example' })
    t.same(mergeResults(prev, { ...OWN, dns: { domain: 'own' } }).dns, { domain: 'own' })
    t.equal(mergeResults(undefined, OWN), OWN)
    t.same(mergeResults(prev, { ...OWN, ips: [{ address: '1.1.1.1/32' }] }).ips[2], { address: '1.1.1.1/32' })
  },
)

t.test('a prevResult of 0.3 loses the version field of its addresses, which 1.x does not know', async (t) => {
  const prev = readPrevResult({ ips: [{ version: '4', address: '10.0.0.1/24' }], interfaces: null })
  t.same(prev?.ips, [{ address: '10.0.0.1/24' }])
  t.same(JSON.parse(formatResult(mergeResults(prev, EMPTY_RESULT), '1.0.0')).ips, [
    { address: '10.0.0.1/24' },
  ])
})

t.test('no prevResult is none; one that cannot be read is code 6', async (t) => {
  t.equal(readPrevResult(undefined), undefined)
  t.equal(readPrevResult(null), undefined)
  for (const value of [
    'x',
    [],
    7,
    { ips: {} },
    { ips: ['x'] },
    { ips: [{}] },
    { interfaces: [null] },
    { routes: 'x' },
  ])
    t.throws(
      () => readPrevResult(value),
      { code: 'ERR_FLATNET_DECODE', message: /^prevResult/ },
      JSON.stringify(value),
    )
})

t.test('prevResult is read in any case, as Go does', async (t) => {
  const sent = {
    Interfaces: [{ Name: 'eth0', Mac: '02:00:00:00:00:01', Sandbox: '/run/netns/c1' }],
    IPs: [{ Version: '4', Address: '10.0.0.2/24', Interface: 0 }],
    Routes: [{ Dst: '0.0.0.0/0', GW: '10.0.0.1' }],
    DNS: { NameServers: ['10.0.0.1'] },
  }
  t.same(readPrevResult(sent), {
    interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/run/netns/c1' }],
    ips: [{ address: '10.0.0.2/24', interface: 0 }],
    routes: [{ dst: '0.0.0.0/0', gw: '10.0.0.1' }],
    dns: { nameservers: ['10.0.0.1'] },
  })
})
