/**
 * Strangers that connect and say nothing: `join`, TLS to the port of members as newcomers do; `tcp`, not even TLS;
 * `unix`, to the API's socket.
 *
 * Prints `open` when all stand, and the number of those that were closed when it is asked by a line on stdin.
 */
import type { ChildProcess } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { connect as connectTls } from 'node:tls'
import { Alpn, parseEndpoint } from '../../../gateway/links/tls.ts'
import type { TestHost } from '../cluster/hosts.ts'
import { waitFor } from '../run/wait.ts'

export type Silence = 'join' | 'tcp' | 'unix'

export interface Strangers {
  /** How many of them were closed by the other side. */
  closed(): Promise<number>
  end(): void
}

/** Resolves when all are connected. @param to `host:port`, or the path of a socket */
export async function silentStrangers(
  from: TestHost,
  kind: Silence,
  to: string,
  count: number,
): Promise<Strangers> {
  const argv = [process.execPath, '--disable-warning=ExperimentalWarning', import.meta.filename]
  const child: ChildProcess = from.spawn(...argv, kind, to, String(count))
  const said: string[] = []
  createInterface({ input: child.stdout! }).on('line', (line) => said.push(line))
  await waitFor(`${count} silent strangers stand`, 30_000, () => said.shift() === 'open')
  return {
    async closed() {
      child.stdin?.write('\n')
      return Number(await waitFor('the strangers count themselves', 10_000, () => said.shift()))
    },
    end: () => void child.kill('SIGKILL'),
  }
}

function open(kind: Silence, to: string): { socket: Socket; event: string } {
  if (kind === 'unix') return { socket: connect(to), event: 'connect' }
  const place = parseEndpoint(to)!
  if (kind === 'tcp') return { socket: connect(place), event: 'connect' }
  const socket = connectTls({ ...place, ALPNProtocols: [Alpn.join], rejectUnauthorized: false })
  return { socket, event: 'secureConnect' }
}

if (process.argv[1] === import.meta.filename) {
  const [, , kind = '', to = '', count = '0'] = process.argv
  let closed = 0
  // One after the other, so that the order of their age is that of their making.
  for (let n = 0; n < Number(count); n++) {
    const { socket, event } = open(kind as Silence, to)
    socket.on('error', () => {})
    socket.once('close', () => {
      closed++
    })
    await new Promise((resolve) => socket.once(event, resolve).once('close', resolve))
    socket.resume()
  }
  process.stdout.write('open\n')
  createInterface({ input: process.stdin }).on('line', () => process.stdout.write(`${closed}\n`))
}
