/**
 * Runs wireguard-go between two hosts of a bench, as its users do: one device each, with keys made here.
 *
 * Builds it from its Go module, since neither Debian nor this project ships it.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join, resolve } from 'node:path'
import type { TunnelNetHost } from '../test/helpers/cluster/tunnel-net.ts'
import { run } from '../test/helpers/kernel/netns.ts'
import { waitFor } from '../test/helpers/run/wait.ts'
import { endAll, type Started } from './tunnel.ts'

const VERSION = 'v0.0.0-20260522210424-ecfc5a8d5446'
const WORK = resolve(import.meta.dirname, '../.build')
const PROGRAM = join(WORK, 'wireguard-go', VERSION, 'wireguard')
const PORT = 51820

/** The address on the host's device. */
export const wireguardAddress = (hostId: number): string => `10.102.0.${hostId}`

/** Builds wireguard-go. @returns why that failed; undefined: it is built */
export function lackOfWireguard(): string | undefined {
  if (existsSync(PROGRAM)) return undefined
  const go = ['go', '/usr/local/go/bin/go'].find((name) => spawnSync(name, ['version']).status === 0)
  if (go === undefined) return 'no Go to build wireguard-go with'
  const { status, stderr } = spawnSync(go, ['install', `golang.zx2c4.com/wireguard@${VERSION}`], {
    env: {
      ...process.env,
      GOBIN: join(WORK, 'wireguard-go', VERSION),
      GOPATH: join(WORK, 'go'),
      GOFLAGS: '-modcacherw',
      GOTOOLCHAIN: 'local',
    },
    encoding: 'utf8',
    timeout: 300_000,
  })
  return status === 0 ? undefined : `wireguard-go was not built: ${stderr.trim().split('\n').at(-1)}`
}

interface Keys {
  readonly privateHex: string
  readonly publicHex: string
}

/** PKCS #8 and SPKI of X25519 end in the 32 bytes of the key (RFC 8410 7). */
function makeKeys(): Keys {
  const { privateKey } = generateKeyPairSync('x25519')
  const last32 = (der: Buffer): string => der.subarray(-32).toString('hex')
  return {
    privateHex: last32(privateKey.export({ type: 'pkcs8', format: 'der' })),
    publicHex: last32(createPublicKey(privateKey).export({ type: 'spki', format: 'der' })),
  }
}

/** Sends one `set` over the configuration protocol of userspace WireGuard (wireguard.com/xplatform). */
async function configure(device: string, lines: readonly string[]): Promise<void> {
  const socket = createConnection(`/var/run/wireguard/${device}.sock`)
  const { promise, resolve: answered, reject } = Promise.withResolvers<string>()
  socket.setEncoding('utf8').on('error', reject).on('data', answered)
  socket.write(`set=1\n${lines.join('\n')}\n\n`)
  const answer = await promise
  socket.destroy()
  if (!answer.startsWith('errno=0')) throw new Error(`wireguard-go refused its configuration: ${answer}`)
}

/** @param mtu of its devices @throws {Error} the build failed, or wireguard-go refuses its configuration */
export async function startWireguard(hosts: readonly TunnelNetHost[], mtu: number): Promise<Started> {
  const lack = lackOfWireguard()
  if (lack !== undefined) throw new Error(lack)
  const keys = new Map(hosts.map(({ hostId }) => [hostId, makeKeys()]))
  const children: ChildProcess[] = []
  for (const host of hosts) {
    // All namespaces share the folder of control sockets, so the names of devices have to differ.
    const device = `wg${process.pid % 10_000}n${host.hostId}`
    children.push(
      spawn('ip', ['netns', 'exec', host.netns, PROGRAM, '--foreground', device], {
        stdio: 'ignore',
        env: { ...process.env, LOG_LEVEL: 'error' },
      }),
    )
    await waitFor('wireguard-go listens', 10_000, () => existsSync(`/var/run/wireguard/${device}.sock`))
    const peers = hosts
      .filter((other) => other !== host)
      .flatMap((other) => [
        `public_key=${keys.get(other.hostId)?.publicHex}`,
        `endpoint=10.0.0.${other.hostId}:${PORT}`,
        `allowed_ip=${wireguardAddress(other.hostId)}/32`,
      ])
    await configure(device, [
      `private_key=${keys.get(host.hostId)?.privateHex}`,
      `listen_port=${PORT}`,
      ...peers,
    ])
    const ip = (line: string): string => run('ip', ['-n', host.netns, ...line.split(' ')])
    ip(`addr add ${wireguardAddress(host.hostId)}/24 dev ${device}`)
    ip(`link set ${device} mtu ${mtu} up`)
  }
  const [first, second] = hosts
  await waitFor('wireguard-go answers', 10_000, () =>
    first?.exec('ping', '-c', '1', '-W', '1', wireguardAddress(second?.hostId ?? 0)),
  )
  return { pids: children.map((child) => child.pid ?? 0), stop: () => endAll(children) }
}
