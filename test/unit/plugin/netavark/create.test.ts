/** plugin/netavark/create.ts: what `podman network create --driver flatnet` stores. */

import t from 'tap'
import { errorText } from '../../../../plugin/netavark/answer.ts'
import { create } from '../../../../plugin/netavark/create.ts'

/** As Podman 5.4 and 5.8 send it: absent keys are absent. */
const NETWORK = {
  name: 'mine',
  id: 'f'.repeat(64),
  driver: 'flatnet',
  created: '0001-01-01T00:00:00Z',
  ipv6_enabled: false,
  internal: false,
  dns_enabled: true,
  labels: { team: 'a' },
  options: { hostId: '7', supernet: '10.200.0.0/16' },
}
const OWN = { subnet: '10.200.7.0/24', gateway: '10.200.7.1' }

t.test('bridge, slice and the driver of addresses are added, and nothing else changes', async (t) => {
  t.strictSame(create(NETWORK), {
    ...NETWORK,
    network_interface: 'flatnet0',
    subnets: [OWN],
    ipam_options: { driver: 'flatnet' },
  })
})

t.test('--ipam-driver none would leave names out; --interface-name is the bridge', async (t) => {
  const made = create({ ...NETWORK, ipam_options: { driver: 'none' }, network_interface: 'br7' })
  t.match(made, { ipam_options: { driver: 'flatnet' }, network_interface: 'br7' })
})

t.test('a subnet of the person’s own must be the slice', async (t) => {
  t.match(create({ ...NETWORK, subnets: [{ subnet: OWN.subnet }] }), { subnets: [OWN] })
  for (const subnet of [
    { subnet: '10.89.0.0/24' },
    { ...OWN, gateway: '10.200.7.254' },
    { ...OWN, lease_range: { start_ip: '10.200.7.50' } },
  ])
    t.throws(() => create({ ...NETWORK, subnets: [subnet] }), /leave --subnet out/)
})

t.test('every problem at once, each with key, value and way out', async (t) => {
  const wrong = { ...NETWORK, ipv6_enabled: true, options: { hostId: '0', mtu: '5', hostid: '1' } }
  let text = ''
  try {
    create(wrong)
  } catch (err) {
    text = errorText(err)
  }
  t.match(text, /^4 problems in the configuration: /)
  for (const words of [/ipv6_enabled is true/, /option hostid is "1".*hostId/, /mtu is 5/, /hostId is 0/i])
    t.match(text, words)
})
