/** miniupnpd in a router of the NAT tests: the router then maps ports by UPnP-IGD, NAT-PMP and PCP. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { type Netns, run } from '../kernel/netns.ts'

/** miniupnpd maps nothing from an address that documentation or private networks use, so this one is neither. */
export const MAPPED_NETWORK = '11.0.0.0/24'
const TABLE = 'portmapper'

export interface PortMapper {
  /** Where the router lets others in. */
  readonly externalIp: string
  /** `7443 -> 192.168.2.2:7443`, of UDP, as the kernel has them. */
  mappings(): string[]
  stop(): Promise<void>
}

/**
 * miniupnpd maps the port of all addresses that the router has outside: UDP 7443 of the others is dropped.
 * @param router of `putBehindNat`, or a namespace with links `lan` and `wan` like it
 * @param index its last octet outside
 * @param isOutside false: the router has no address outside that it could map, and says so
 */
export async function portMapper(
  t: Pick<Test, 'testdir' | 'teardown'>,
  router: Netns,
  index: number,
  isOutside = true,
): Promise<PortMapper> {
  const externalIp = `11.0.0.${index}`
  router.exec('ip', 'addr', 'add', `${externalIp}/24`, 'dev', 'wan')
  run(
    'ip',
    ['netns', 'exec', router.name, 'nft', '-f', '-'],
    `table inet ${TABLE} {
       chain forward { }
       chain one { type filter hook prerouting priority -150; iifname wan ip daddr != ${externalIp} udp dport 7443 drop; }
       chain pre { type nat hook prerouting priority -110; }
       chain post { type nat hook postrouting priority 90; }
     }`,
  )
  const conf = join(t.testdir({}), 'miniupnpd.conf')
  writeFileSync(conf, confOf(isOutside ? `ext_ip=${externalIp}` : ''))
  const pid = join(conf, '..', 'pid')
  const argv = ['netns', 'exec', router.name, 'miniupnpd', '-d', '-f', conf, '-P', pid]
  const mapper = spawn('ip', argv, { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(mapper, 'close')
  t.teardown(() => mapper.kill('SIGKILL'))
  await started(mapper.stderr)
  return {
    externalIp,
    mappings: () => mappingsIn(router.exec('nft', 'list', 'chain', 'inet', TABLE, 'pre')),
    async stop() {
      mapper.kill('SIGKILL')
      await ended
    },
  }
}

const confOf = (outside: string): string => `ext_ifname=wan
${outside}
listening_ip=lan
enable_natpmp=yes
enable_upnp=yes
secure_mode=yes
uuid=00000000-0000-0000-0000-000000000001
upnp_table_name=${TABLE}
upnp_nat_table_name=${TABLE}
upnp_forward_chain=forward
upnp_nat_chain=pre
upnp_nat_postrouting_chain=post
http_port=0
allow 1024-65535 0.0.0.0/0 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
`

/** Until it says that it listens; its output is read on, so that it never waits for a reader. */
async function started(stderr: NodeJS.ReadableStream): Promise<void> {
  const said: string[] = []
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  createInterface({ input: stderr })
    .on('line', (line) => {
      if (said.length < 50) said.push(line)
      if (line.includes('Listening for NAT-PMP/PCP')) resolve()
    })
    .on('close', () => reject(new Error(`miniupnpd ended: ${said.join('\n')}`)))
  await promise
}

/** nft shows the protocol as it was written: 17 is UDP. */
const mappingsIn = (rules: string): string[] =>
  [...rules.matchAll(/0x11 th dport (\d+).* dnat ip to ([\d.]+:\d+)/g)].map(
    ([, port, to]) => `${port} -> ${to}`,
  )
