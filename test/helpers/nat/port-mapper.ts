/** miniupnpd in a router of the NAT tests: the router then maps ports by UPnP-IGD, NAT-PMP and PCP. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
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
  /**
   * As a router that was switched off and on: it has forgotten all mappings, and says so to its network.
   * @returns the mappings that it begins with
   */
  restart(): Promise<string[]>
  stop(): Promise<void>
}

interface PortMapperOptions {
  /** False: the router has no address outside that it could map, and says so. */
  readonly isOutside?: boolean
  /** False: by UPnP alone. */
  readonly hasPcp?: boolean
}

/**
 * miniupnpd maps the port of all addresses that the router has outside: UDP 7443 of the others is dropped.
 * @param router of `putBehindNat`, or a namespace with links `lan` and `wan` like it
 * @param index its last octet outside
 */
export async function portMapper(
  t: Pick<Test, 'teardown'>,
  router: Netns,
  index: number,
  { isOutside = true, hasPcp = true }: PortMapperOptions = {},
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
  const dir = mkdtempSync(join(tmpdir(), 'miniupnpd-'))
  const conf = join(dir, 'miniupnpd.conf')
  writeFileSync(conf, confOf(isOutside ? `ext_ip=${externalIp}` : '', hasPcp))
  const pid = join(dir, 'pid')
  const argv = ['netns', 'exec', router.name, 'miniupnpd', '-d', '-f', conf, '-P', pid]
  let mapper: ChildProcess | undefined
  const stop = async (): Promise<void> => {
    if (mapper === undefined) return
    const ended = once(mapper, 'close')
    mapper.kill('SIGKILL')
    await ended
    mapper = undefined
  }
  const start = async (): Promise<void> => {
    // Of one that was killed: the next one would not begin.
    rmSync(pid, { force: true })
    mapper = spawn('ip', argv, { stdio: ['ignore', 'ignore', 'pipe'] })
    if (mapper.stderr !== null) await started(mapper.stderr)
  }
  t.teardown(async () => {
    await stop()
    rmSync(dir, { recursive: true, force: true })
  })
  await start()
  const mappings = (): string[] => mappingsIn(router.exec('nft', 'list', 'chain', 'inet', TABLE, 'pre'))
  return {
    externalIp,
    mappings,
    async restart() {
      await stop()
      for (const chain of ['forward', 'pre', 'post'])
        router.exec('nft', 'flush', 'chain', 'inet', TABLE, chain)
      // Before it starts: a host that hears it has its mapping again at once.
      const first = mappings()
      await start()
      return first
    },
    stop,
  }
}

const confOf = (outside: string, hasPcp: boolean): string => `ext_ifname=wan
${outside}
listening_ip=lan
enable_natpmp=${hasPcp ? 'yes' : 'no'}
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
      if (/Listening for NAT-PMP\/PCP|HTTP listening on port/.test(line)) resolve()
    })
    .on('close', () => reject(new Error(`miniupnpd ended: ${said.join('\n')}`)))
  await promise
}

/** nft shows the protocol as it was written: 17 is UDP. */
const mappingsIn = (rules: string): string[] =>
  [...rules.matchAll(/0x11 th dport (\d+).* dnat ip to ([\d.]+:\d+)/g)].map(
    ([, port, to]) => `${port} -> ${to}`,
  )
