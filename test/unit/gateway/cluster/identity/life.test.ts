/**
 * gateway/cluster/life and endpoints: when a certificate is renewed and complained about, and which addresses are told.
 */
import t from 'tap'
import { certificateStatus, lifeOf, renewsAt } from '../../../../../gateway/cluster/identity/life.ts'
import { isEndpoints, ownEndpoints } from '../../../../../gateway/cluster/members/endpoints.ts'
import { testCluster } from '../../../../helpers/cluster/cluster.ts'

const DAY = 86_400_000
const NOW = Date.parse('2026-11-20T12:00:00Z')

t.test('a certificate of ninety days', async (t) => {
  const { certPem } = await (await testCluster('testing', NOW)).identity(2)
  const life = lifeOf(certPem)
  t.same(life, { from: NOW, to: NOW + 90 * DAY }, 'its life begins when it was issued, not when it is valid')
  t.equal(renewsAt(life), NOW + 60 * DAY)
  t.ok(renewsAt(life, 1) > NOW + 55 * DAY && renewsAt(life, 1) < NOW + 56 * DAY, 'jitter makes it earlier')
  const at = (day: number) => certificateStatus(certPem, NOW + day * DAY)
  t.match(at(-1), { state: 'not yet valid', warning: /clock of this host.*2026-11-20T12:00:00/ })
  t.match(at(-1 / 24), { state: 'valid', warning: undefined })
  t.match(at(0), { state: 'valid', renewsAt: '2027-01-19T12:00:00.000Z', warning: undefined })
  t.match(at(61), { state: 'renewing', warning: undefined })
  t.match(at(80), { state: 'expires soon', warning: /ends in 10 days and could not be renewed/ })
  t.match(at(90), { state: 'expired', warning: /expired at 2027-02-18T12:00:00.000Z/ })
})

const supernet = { base: 0x0a640000, prefixLen: 16 }
const v4 = (address: string, internal = false) => ({
  address,
  netmask: '255.255.255.0',
  family: 'IPv4' as const,
  mac: '00:00:00:00:00:00',
  internal,
  cidr: `${address}/24`,
})
const v6 = (address: string) => ({ ...v4(address), family: 'IPv6' as const, scopeid: 0 })
const interfaces = {
  lo: [v4('127.0.0.1', true)],
  eth0: [v6('2001:db8::7'), v6('fe80::7'), v4('192.0.2.7')],
  eth1: [v4('169.254.3.4'), v4('198.51.100.7')],
  docker0: [v4('172.17.0.1')],
  'br-0123456789ab': [v4('172.18.0.1')],
  'cni-podman0': [v4('10.88.0.1')],
  flatnet0: [v4('10.100.7.1')],
  odd: [v4('10.100.9.9')],
}

t.test('addresses that others can use', async (t) => {
  const own = (host: string, advertise: string[] = []) =>
    ownEndpoints({ listen: { host, port: 7443 }, advertise, supernet }, interfaces)
  t.same(
    own('0.0.0.0'),
    ['192.0.2.7:7443', '198.51.100.7:7443'],
    'none of this machine alone, none of containers',
  )
  t.same(
    ownEndpoints(
      { listen: { host: '0.0.0.0', port: 7443 }, advertise: [], supernet },
      { 'br-lan': [v4('192.0.2.8')] },
    ),
    ['192.0.2.8:7443'],
    'a bridge that a person made is the way out of many machines',
  )
  t.same(
    ownEndpoints(
      { listen: { host: '0.0.0.0', port: 7443 }, advertise: [], supernet, without: 'eth1' },
      interfaces,
    ),
    ['192.0.2.7:7443'],
    'none of a VPN that is a way itself',
  )
  t.same(own('::'), ['192.0.2.7:7443', '198.51.100.7:7443', '[2001:db8::7]:7443'])
  t.same(own('192.0.2.7'), ['192.0.2.7:7443'], 'the one that it listens on')
  t.same(own('0.0.0.0', ['vpn.example:443']), ['vpn.example:443'], 'what is configured is all')
})

t.test('what a stranger may say that its addresses are', async (t) => {
  t.ok(isEndpoints([]))
  t.ok(isEndpoints(['192.0.2.7:7443', '[::1]:1', 'name:65535']))
  for (const bad of [undefined, 'x:1', ['x'], ['x:0'], ['x:65536'], [1], Array(9).fill('x:1')]) {
    t.notOk(isEndpoints(bad), JSON.stringify(bad))
  }
})
