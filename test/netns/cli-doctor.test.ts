/** Doctor on a real kernel: it sees what drops and what overlaps, and its own fix makes it content. */
import t from 'tap'
import { type Machine, machine } from '../helpers/kernel/machine.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { cliExecutable } from '../helpers/run/executable.ts'

interface Found {
  readonly id: string
  readonly state: string
  readonly what: string
  readonly fix?: string
}
const { path: flatnet } = cliExecutable()

async function prepared(t: Parameters<typeof machine>[0]): Promise<Machine> {
  const m = await machine(t)
  await m.exec(flatnet, 'install', '--no-service', '--cni-bin-dir', '/opt/cni/bin')
  return m
}

async function doctor(m: Machine, id: string): Promise<Found[]> {
  const ran = await m.run([flatnet, 'doctor', '--json', '--cni-bin-dir', '/opt/cni/bin'])
  const checks: Found[] = JSON.parse(ran.stdout)
  return checks.filter((c) => c.id === id && c.state !== 'ok')
}

const firewalls: readonly [name: string, setUp: string, chain: RegExp][] = [
  ['iptables with policy DROP', 'iptables -P FORWARD DROP', /ip filter FORWARD/],
  [
    'Docker',
    'iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -I FORWARD -j DOCKER-USER',
    /ip filter FORWARD/,
  ],
  [
    'a table of the administrator',
    "nft 'add table inet fw; add chain inet fw pass { type filter hook forward priority 0; policy drop; }'",
    /inet fw pass/,
  ],
]
for (const [name, setUp, chain] of firewalls) {
  t.test(`${name} drops; the fix lets our network through`, { skip: needsRoot }, async (t) => {
    const m = await prepared(t)
    t.same(await doctor(m, 'forward-drop'), [])
    await m.sh(setUp)
    const [found] = await doctor(m, 'forward-drop')
    t.match(found, { state: 'fail', what: chain })
    await m.sh(found?.fix ?? 'false')
    t.same(await doctor(m, 'forward-drop'), [])
  })
}

t.test('a VPN over our network, and a bridge of another slice', { skip: needsRoot }, async (t) => {
  const m = await prepared(t)
  await m.sh('ip link add wg0 type bridge; ip link set wg0 up; ip route add 10.0.0.0/8 dev wg0 table 51820')
  t.match(await doctor(m, 'route-overlap'), [{ state: 'fail', what: /10\.0\.0\.0\/8 dev wg0 \(WireGuard\)/ }])
  await m.sh('ip link add flatnet0 type bridge; ip addr add 10.100.9.1/24 dev flatnet0')
  t.match(await doctor(m, 'bridge'), [
    { state: 'fail', what: /has 10\.100\.9\.1\/24; it should have 10\.100\.1\.1\/24/ },
  ])
})
