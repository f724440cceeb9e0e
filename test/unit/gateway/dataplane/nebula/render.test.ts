/** gateway/dataplane/nebula/render: the configuration of Nebula, as text. */

import t from 'tap'
import { parse } from 'yaml'
import { daemonConf } from '../../../../../conf/daemon.ts'
import { type NebulaPlan, renderNebula } from '../../../../../gateway/dataplane/nebula/render.ts'
import { parseVersion } from '../../../../../gateway/dataplane/nebula/version.ts'

function plan(nebula: object, version = '1.6.1', hostId = 1): NebulaPlan {
  const conf = daemonConf({ hostId, paths: { nebula: { enabled: true, ...nebula } } })
  const { hostPrefix, paths, supernet } = conf
  const found = parseVersion(`Version: ${version}`)
  if (found === undefined) throw new Error('no version')
  return {
    hostId,
    supernet,
    hostPrefix,
    nebula: paths.nebula,
    folder: '/var/lib/flatnet/nebula',
    version: found,
    peers: [
      { hostId: 2, endpoints: ['192.0.2.2:7443', '192.0.2.2:443', '[2001:db8::2]:7443', 'two.example:7443'] },
      { hostId: 3, endpoints: [] },
    ],
  }
}

const GOLDEN = `# Nebula for host 1 of Flatnet, as flatnet nebula config prints it.
pki:
  ca: /var/lib/flatnet/nebula/ca.crt
  cert: /var/lib/flatnet/nebula/host.crt
  key: /var/lib/flatnet/nebula/host.key
static_host_map:
  10.101.0.2:
    - 192.0.2.2:4242
    - "[2001:db8::2]:4242"
lighthouse:
  am_lighthouse: false
  interval: 60
  hosts: []
  local_allow_list:
    interfaces:
      flatnet.*: false
      fn[0-9a-f]*: false
    10.100.0.0/16: false
  remote_allow_list:
    10.100.0.0/16: false
listen:
  host: "[::]"
  port: 4242
punchy:
  punch: true
  respond: true
relay:
  am_relay: false
  use_relays: false
tun:
  disabled: false
  dev: flatnet-nebula
  drop_local_broadcast: true
  drop_multicast: true
  mtu: 1300
  unsafe_routes:
    - route: 10.100.2.0/24
      via: 10.101.0.2
      metric: 300
    - route: 10.100.3.0/24
      via: 10.101.0.3
      metric: 300
logging:
  level: info
  format: text
  disable_timestamp: true
firewall:
  outbound:
    - port: any
      proto: any
      host: any
  inbound:
    - port: any
      proto: any
      group: flatnet
`

t.test('1.6, without lighthouses', (t) => {
  t.equal(renderNebula(plan({})), GOLDEN)
  t.end()
})

t.test('a lighthouse that is no host of the cluster', (t) => {
  const host = parse(
    renderNebula(plan({ lighthouses: { '10.101.255.1': ['old.example:4242'] } }, '1.6.1', 2)),
  )
  t.match(host.lighthouse, { am_lighthouse: false, hosts: ['10.101.255.1'] })
  t.same(host.static_host_map, { '10.101.255.1': ['old.example:4242'] })
  t.end()
})

t.test('lighthouses take the place of announced addresses', (t) => {
  const lighthouses = { 1: ['192.0.2.1:4242'], 7: ['hub.example:4242', '[2001:db8::7]:4242'] }
  const host = parse(renderNebula(plan({ lighthouses }, '1.6.1', 2)))
  t.same(host.static_host_map, {
    '10.101.0.1': ['192.0.2.1:4242'],
    '10.101.0.7': ['hub.example:4242', '[2001:db8::7]:4242'],
  })
  t.match(host.lighthouse, { am_lighthouse: false, hosts: ['10.101.0.1', '10.101.0.7'] })
  const one = parse(renderNebula(plan({ lighthouses })))
  t.match(one.lighthouse, { am_lighthouse: true, hosts: [] }, 'one of them asks no other')
  t.same(Object.keys(one.static_host_map), ['10.101.0.7'])
  t.end()
})

t.test('later releases', (t) => {
  const seven = parse(renderNebula(plan({}, '1.7.0')))
  t.same(seven.tun.unsafe_routes[0], {
    route: '10.100.2.0/24',
    via: '10.101.0.2',
    metric: 300,
    install: false,
  })
  t.same(seven.firewall.inbound, [{ port: 'any', proto: 'any', group: 'flatnet' }])
  const ten = parse(renderNebula(plan({}, '1.10.0')))
  const any = { port: 'any', proto: 'any' }
  const slice = { local_cidr: '10.100.1.0/24' }
  t.same(ten.firewall.inbound, [
    { ...any, group: 'flatnet' },
    { ...any, group: 'flatnet', ...slice },
  ])
  t.same(ten.firewall.outbound, [
    { ...any, host: 'any' },
    { ...any, host: 'any', ...slice },
  ])
  t.end()
})

t.test('a device, port, MTU and network of its own', (t) => {
  const own = { device: 'nebula1', port: 5_000, mtu: 1_440, network: '192.168.100.0/24' }
  const { listen, static_host_map, tun } = parse(renderNebula(plan(own)))
  t.match(tun, { dev: 'nebula1', mtu: 1_440 })
  t.equal(listen.port, 5_000)
  t.same(static_host_map, { '192.168.100.2': ['192.0.2.2:5000', '[2001:db8::2]:5000'] })
  t.end()
})
