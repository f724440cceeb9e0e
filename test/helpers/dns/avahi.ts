/** An avahi-daemon of a test host, in mounts of its own and without D-Bus: it asks and answers on the LAN. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { TestHost } from '../cluster/hosts.ts'
import { waitFor } from '../run/wait.ts'

export interface Avahi {
  /** What it says of a name, as nss-mdns asks: an address, or the error. */
  resolve(name: string): Promise<string>
}

/** /run is its own, but for the folder with its socket, which a Unix socket's clients reach from outside. */
const START = `
mount -t tmpfs tmpfs /run
mkdir /run/avahi-daemon
mount --bind "$1" /run/avahi-daemon
exec avahi-daemon --file "$2" --no-drop-root --no-chroot --no-rlimits 2>/run/avahi-daemon/log
`

/** @param name the machine answers to `<name>.local` */
export async function avahi(host: TestHost, name: string): Promise<Avahi> {
  const run = join(host.dir, 'avahi')
  const conf = join(host.dir, 'avahi.conf')
  mkdirSync(run, { recursive: true })
  writeFileSync(
    conf,
    `[server]\nhost-name=${name}\nuse-ipv6=no\nenable-dbus=no\n[publish]\npublish-workstation=no\n`,
  )
  host.spawn('unshare', '-m', 'sh', '-ec', START, 'sh', run, conf)
  const resolve = (wanted: string): Promise<string> => ask(join(run, 'socket'), wanted)
  try {
    await waitFor(
      'avahi-daemon has its name',
      20_000,
      async () => (await resolve(`${name}.local`)) === host.ip,
    )
  } catch (cause) {
    throw new Error(`avahi-daemon of ${name}: ${readFileSync(join(run, 'log'), 'utf8')}`, { cause })
  }
  return { resolve }
}

/** Its simple protocol: `+ <interface> <protocol> <name> <address>`, or `-<code> <error>`. */
function ask(socketPath: string, name: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const socket = connect(socketPath, () => socket.write(`RESOLVE-HOSTNAME-IPV4 ${name}\n`))
  let answer = ''
  socket.setEncoding('utf8').on('data', (text: string) => {
    answer += text
    if (answer.includes('\n')) socket.end()
  })
  socket.on('error', reject)
  socket.on('close', () => resolve(answer.startsWith('+') ? (answer.trim().split(' ').at(-1) ?? '') : answer))
  return promise
}
