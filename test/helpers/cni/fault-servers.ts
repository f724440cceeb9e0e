/** Servers and clients in a host's namespaces, which show who answers and which client address the server saw. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine } from '../kernel/machine.ts'
import { netnsProgram } from '../kernel/netns-programs.ts'
import { waitFor } from '../run/wait.ts'
import type { CniHost } from './cni.ts'

const within = (netns: string | undefined): string[] =>
  netns === undefined ? [] : ['ip', 'netns', 'exec', netns]

/** busybox httpd that answers `<name> <client's address>`; on the host itself when `netns` is undefined. */
export async function httpd(m: Machine, name: string, netns: string | undefined, port = 80): Promise<void> {
  const root = join(m.dir, `www-${name}`)
  const script = join(root, 'cgi-bin/who')
  mkdirSync(join(root, 'cgi-bin'), { recursive: true })
  writeFileSync(
    script,
    `#!/bin/sh\nprintf 'Content-type: text/plain\\r\\n\\r\\n%s %s' ${name} "$REMOTE_ADDR"\n`,
  )
  chmodSync(script, 0o755)
  await m.start([...within(netns), 'busybox', 'httpd', '-f', '-p', `0.0.0.0:${port}`, '-h', root])
  await waitFor(`${name} serves`, 10_000, async () =>
    (await m.run([...within(netns), 'ss', '-Hltn', `sport = :${port}`])).stdout.includes('LISTEN'),
  )
}

/** Sends an HTTP/1.0 request by bash: the wget of Debian's static busybox crashes when it resolves a name. */
const GET = `exec 3<>"/dev/tcp/$1/$2"; printf 'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`

/** `<name> <address that the server saw>`, or `no answer`. IPv4-mapped addresses are plain. */
export async function ask(m: Machine, netns: string | undefined, address: string): Promise<string> {
  const [ip = '', port = '80'] = address.split(':')
  const ran = await m.run([...within(netns), 'timeout', '2', 'bash', '-c', GET, 'get', ip, port])
  const body = /\r?\n\r?\n([\s\S]*)$/.exec(ran.stdout)?.[1] ?? ''
  return ran.rc === 0 && body !== '' ? body.replaceAll(/\[?::ffff:([\d.]+)\]?/g, '$1') : 'no answer'
}

/** Answers each datagram with `<word> <sender>`. */
export async function udpServer(m: Machine, netns: string, port: number, word: string): Promise<void> {
  const server = await m.start([...within(netns), ...netnsProgram('udp-echo', String(port), word)])
  await waitFor(`${word} listens`, 10_000, () => server.log().includes('listening'))
}

export async function askUdp(m: Machine, netns: string | undefined, address: string, port: number, from = 0) {
  const ran = await m.run([...within(netns), ...netnsProgram('udp-ask', address, String(port), String(from))])
  return ran.rc === 0 ? ran.stdout.trim() : 'no answer'
}

export const pings = async (m: Machine, netns: string | undefined, address: string): Promise<boolean> =>
  (await m.run([...within(netns), 'busybox', 'ping', '-c', '1', '-W', '2', address])).rc === 0

/** Makes the container and attaches it with these ports. @returns its address */
export async function attached(
  host: CniHost,
  containerId: string,
  portMappings: readonly object[] = [],
  conf: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  await host.container(containerId)
  const added = await host.ok('ADD', { containerId, conf: { ...conf, runtimeConfig: { portMappings } } })
  return added.ips[0].address.split('/')[0]
}
