/**
 * A container asks for services of its host: by any address and in both families it reaches none, unless the network
 * has `hostAccess`.
 */
import t, { type Test } from 'tap'
import type { CniHost } from '../helpers/cni/cni.ts'
import { faultHost } from '../helpers/cni/fault.ts'
import { ask, attached, httpd, pings } from '../helpers/cni/fault-servers.ts'
import { dropped } from '../helpers/hostile/observe.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const PORT = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }
const SERVICE = 8_081
const SERVICE6 = 8_082

/** A service of the host on all its addresses, and a second one in IPv6. */
async function services({ m }: CniHost): Promise<void> {
  await httpd(m, 'host', undefined, SERVICE)
  await m.start(['busybox', 'httpd', '-f', '-p', `[::]:${SERVICE6}`, '-h', `${m.dir}/www-host`])
  await waitFor('the host serves IPv6', 10_000, async () =>
    (await m.run(['ss', '-Hltn', `sport = :${SERVICE6}`])).stdout.includes('LISTEN'),
  )
}

/** An IPv6 network that a person put onto the bridge. */
const withIpv6 = ({ m }: CniHost): Promise<string> =>
  m.sh(`echo 0 >/proc/sys/net/ipv6/conf/flatnet0/disable_ipv6
    ip -6 addr add fd00:1::1/64 dev flatnet0 nodad
    ip netns exec a sh -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6'
    ip -n a -6 addr add fd00:1::a/64 dev eth0 nodad`)

/** curl's exit code: 0 for an answer, 7 for a refusal, 28 for none. */
const curl = async ({ m }: CniHost, url: string): Promise<number> =>
  (await m.run(['ip', 'netns', 'exec', 'a', 'curl', '-gs', '-m', '5', '-o', '/dev/null', url])).rc

async function reaches(t: Test, host: CniHost, rc: number, lan: string): Promise<void> {
  for (const address of ['10.100.1.1', lan])
    t.equal(await curl(host, `http://${address}:${SERVICE}/`), rc, `${address}: ${rc}`)
  t.equal(await curl(host, `http://[fd00:1::1]:${SERVICE6}/`), rc, `IPv6: ${rc}`)
  const [{ address }] = await host.m.json('ip', '-j', 'link', 'show', 'flatnet0')
  const local = (await host.m.exec('ip', '-6', '-o', 'addr', 'show', 'flatnet0', 'scope', 'link')).match(
    /fe80[\da-f:]*/,
  )
  t.equal(
    await curl(host, `http://[${local?.[0]}%25eth0]:${SERVICE6}/`),
    rc,
    `link-local of ${address}: ${rc}`,
  )
}

for (const executable of executables()) {
  t.test(`${executable.name}: no service of the host is reached`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    const { m } = host
    const lan = await m.neighbour()
    const a = await attached(host, 'a', [], { antiSpoof: false })
    await attached(host, 'b', [PORT])
    await httpd(m, 'b', 'b')
    await httpd(m, 'lan', 'lan', 9_000)
    await services(host)
    await withIpv6(host)
    await reaches(t, host, 7, lan.machineIp)
    t.equal(await dropped(m, 'host_service'), 4, 'each is counted')
    t.equal(await ask(m, 'a', `${lan.machineIp}:8080`), 'b 10.100.1.1', 'published ports are')
    t.equal(await ask(m, 'a', `${lan.ip}:9000`), `lan ${lan.machineIp}`, 'so is the world')
    t.ok(await pings(m, 'a', '10.100.1.1'), 'the next hop answers')
    t.equal(
      await ask(m, 'lan', `${lan.machineIp}:${SERVICE}`),
      `host ${lan.ip}`,
      'the LAN reaches the service',
    )
    t.equal(await ask(m, undefined, `10.100.1.1:${SERVICE}`), 'host 10.100.1.1', 'and the host itself')
    await httpd(m, 'a', 'a')
    t.equal(await ask(m, undefined, a), 'a 10.100.1.1', 'answers to the host pass')
  })

  t.test(`${executable.name}: with hostAccess they are`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    const { m } = host
    const lan = await m.neighbour()
    const conf = { antiSpoof: false, hostAccess: true }
    await attached(host, 'a', [], conf)
    await services(host)
    await withIpv6(host)
    await reaches(t, host, 0, lan.machineIp)
    await attached(host, 'b', [], { ...conf, hostAccess: false })
    t.equal(
      await curl(host, `http://10.100.1.1:${SERVICE}/`),
      7,
      'a configuration that was changed holds at once',
    )
    const second = {
      name: 'second',
      bridge: 'second0',
      ipam: { type: 'flatnet', hostId: 1, supernet: '10.101.0.0/16' },
    }
    await attached(host, 'c', [], { ...second, ...conf })
    t.equal(await ask(m, 'c', `10.101.1.1:${SERVICE}`), 'host 10.101.1.10', 'each network has its own')
    t.equal(await curl(host, `http://10.100.1.1:${SERVICE}/`), 7)
  })
}
