/** Doctor on what others took from under living containers: it names each, and its own fix makes it content. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { CniHost } from '../helpers/cni/cni.ts'
import { faultHost } from '../helpers/cni/fault.ts'
import { attached } from '../helpers/cni/fault-servers.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { cliExecutable } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

interface Found {
  readonly id: string
  readonly state: string
  readonly what: string
  readonly fix?: string
}

interface Loss {
  readonly name: string
  /** $PORT is the host end of container `a`. */
  readonly script: string
  readonly id: string
  readonly says: RegExp
}

const LOSSES: readonly Loss[] = [
  {
    name: 'the bridge is deleted',
    script: 'ip link del flatnet0',
    id: 'attached-bridge',
    says: /flatnet0 is missing, and flatnet has 2 live containers/,
  },
  {
    name: 'the bridge lost its address',
    script: 'ip addr flush dev flatnet0',
    id: 'attached-bridge',
    says: /flatnet0 has lost its address 10\.100\.1\.1\/24/,
  },
  { name: 'the bridge is down', script: 'ip link set flatnet0 down', id: 'attached-bridge', says: /is down/ },
  {
    name: 'a link is in no bridge',
    script: 'ip link set $PORT nomaster',
    id: 'attached-port',
    says: /fn[0-9a-f]{10} of a is in no bridge, not in flatnet0/,
  },
  {
    name: 'a link is in another bridge',
    script: 'ip link add other0 type bridge; ip link set $PORT master other0',
    id: 'attached-port',
    says: /fn[0-9a-f]{10} of a is in other0, not in flatnet0/,
  },
  {
    name: 'the ruleset is flushed',
    script: 'nft flush ruleset',
    id: 'attached-rules',
    says: /missing in nftables: the whole table inet flatnet/,
  },
  {
    name: 'the network is taken out of the table',
    script: 'nft flush set inet flatnet bridges',
    id: 'attached-rules',
    says: /missing in nftables: this network in the set bridges/,
  },
  {
    name: 'a chain is emptied',
    script: 'nft flush chain inet flatnet postrouting',
    id: 'attached-rules',
    says: /missing in nftables: the rules of chain postrouting/,
  },
  {
    name: 'a port is of an older release',
    script: 'ip link set $PORT group 0',
    id: 'attached-guard',
    says: /a \(fn[0-9a-f]{10}\) can send with the addresses of others/,
  },
  {
    name: 'what ports pass is forgotten',
    script: 'nft flush set bridge flatnet armed; nft flush set bridge flatnet sources',
    id: 'attached-guard',
    says: /a \(fn[0-9a-f]{10}\), b \(fn[0-9a-f]{10}\) can send/,
  },
  {
    name: 'a published port is taken out',
    script: 'nft flush map inet flatnet ports_any',
    id: 'attached-ports',
    says: /not published: tcp \*:8080/,
  },
  {
    name: 'the loopback is shut',
    script: 'sysctl -qw net.ipv4.conf.flatnet0.route_localnet=0',
    id: 'route-localnet',
    says: /flatnet0\.route_localnet is not 1/,
  },
]

const { path: flatnet } = cliExecutable()
const PORT = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }

async function prepared(t: Parameters<typeof faultHost>[0]): Promise<CniHost> {
  const host = await faultHost(t, cliExecutable(), '1.0.0')
  const { cniVersion, name, ...plugin } = host.conf()
  await host.m.run(['sh', '-c', 'mkdir -p /etc/cni/net.d && cat >/etc/cni/net.d/flatnet.conflist'], {
    input: JSON.stringify({ cniVersion, name, plugins: [plugin] }),
  })
  await attached(host, 'a', [PORT])
  await attached(host, 'b')
  return host
}

async function problems(host: CniHost): Promise<Found[]> {
  const ran = await host.m.run([flatnet, 'doctor', '--json', '--config', yaml(host)])
  const checks: Found[] = JSON.parse(ran.stdout)
  const ids = new Set(LOSSES.map(({ id }) => id).concat('attached-link', 'attached'))
  return checks.filter((c) => ids.has(c.id) && c.state !== 'ok')
}

const yaml = (host: CniHost): string => join(host.m.dir, 'flatnet.yaml')

/** Does what a fix says: commands as they stand, or the gateway, which is stopped when doctor is content. */
async function heed(host: CniHost, fix: string): Promise<void> {
  for (const part of fix.split('; then ')) {
    if (!part.startsWith('the gateway puts it back')) {
      await host.m.sh(part)
      continue
    }
    const gateway = await host.m.start([flatnet, 'gateway', '--config', yaml(host)], { name: 'gateway' })
    await waitFor('the gateway repairs', 15_000, async () => (await problems(host)).length === 0)
    await gateway.kill()
  }
}

t.test('what living containers stand on', { skip: needsRoot }, async (t) => {
  const host = await prepared(t)
  writeFileSync(
    yaml(host),
    JSON.stringify({
      hostId: 1,
      supernet: '10.100.0.0/16',
      dataDir: host.dataDir,
      api: { socket: '/run/ft/gateway.sock' },
      ingress: { listen: '127.0.0.1:8099' },
    }),
  )
  t.same(await problems(host), [], 'all is well')
  for (const { name, script, id, says } of LOSSES) {
    await host.m.sh(`PORT=${host.leases()[0]?.hostIfname}; ${script}`)
    const found = await problems(host)
    t.match(found, [{ id, what: says }], name)
    t.equal(found.length, 1, 'one finding for one fault')
    await heed(host, found[0]?.fix ?? '')
    t.same(await problems(host), [], `${name}: the fix helps`)
  }
  await host.m.sh(`ip link del ${host.leases()[0]?.hostIfname}`)
  t.match(await problems(host), [{ id: 'attached-link', what: /of a \(fn[0-9a-f]{10}\) is gone/ }])
})

t.test('the kernel, where no file says anything of its parts', { skip: needsRoot }, async (t) => {
  const host = await faultHost(t, cliExecutable())
  const kernel = async () =>
    JSON.parse((await host.m.run([flatnet, 'doctor', '--json'])).stdout).find((c: Found) => c.id === 'kernel')
  // Not a fake: each is the file or folder that this kernel has, out of sight.
  await host.m.sh(`mount -t tmpfs none /sys/module
    for path in /lib/modules /boot; do [ ! -d $path ] || mount -t tmpfs none $path; done
    for path in /proc/config.gz /proc/modules; do [ ! -e $path ] || mount --bind /dev/null $path; done`)
  t.match(await kernel(), { state: 'ok', what: /has bridge, veth and nftables$/ }, 'it is tried')
  t.same(await host.m.json('ip', '-j', 'link', 'show', 'type', 'bridge'), [], 'and nothing is left of it')
})
