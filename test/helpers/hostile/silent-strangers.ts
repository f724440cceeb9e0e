/**
 * Strangers that connect and say nothing, or not enough: `join`, TLS to the port of members as newcomers do; `tcp`, not
 * even TLS; `unix`, to the API's socket; `half`, a part of a request; `body`, a request without its body; `websocket`,
 * one that stays idle; `h2`, TLS and an idle session of HTTP/2.
 *
 * Prints `open` when all stand, and the number of those that were closed when it is asked by a line on stdin.
 */
import type { ChildProcess } from 'node:child_process'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { connect as connectTls } from 'node:tls'
import { Alpn, parseEndpoint } from '../../../gateway/links/tls.ts'
import type { TestHost } from '../cluster/hosts.ts'
import { ownProgram } from '../run/own-program.ts'
import { waitFor } from '../run/wait.ts'

export type Silence = 'join' | 'tcp' | 'unix' | 'half' | 'body' | 'websocket' | 'h2'

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
  const argv = ownProgram(import.meta.filename)
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

/** Clients of ingress come from so many addresses. */
const ADDRESSES = 8

/** What a client of ingress sends before it falls silent. */
const REQUESTS: Partial<Record<Silence, string>> = {
  half: 'GET / HTTP/1.1\r\nHost: web-3000.x\r\nX',
  body: 'POST /body HTTP/1.1\r\nHost: web-3000.x\r\nContent-Length: 9\r\n\r\na',
  websocket: 'GET / HTTP/1.1\r\nHost: web-3000.x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
}

function open(kind: Silence, to: string, n: number): { socket: Socket; event: string } {
  if (kind === 'unix') return { socket: connect(to), event: 'connect' }
  const place = parseEndpoint(to)!
  const localAddress = `127.0.1.${1 + (n % ADDRESSES)}`
  if (kind === 'h2') {
    const socket = connectTls({
      socket: connect({ ...place, localAddress }),
      ALPNProtocols: ['h2'],
      rejectUnauthorized: false,
    })
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00')
    return { socket, event: 'data' }
  }
  const request = REQUESTS[kind]
  if (request !== undefined) {
    const socket = connect({ ...place, localAddress })
    socket.write(request)
    return { socket, event: kind === 'websocket' ? 'data' : 'connect' }
  }
  if (kind === 'tcp') return { socket: connect(place), event: 'connect' }
  const socket = connectTls({ ...place, ALPNProtocols: [Alpn.join], rejectUnauthorized: false })
  return { socket, event: 'secureConnect' }
}

if (process.argv[1] === import.meta.filename) {
  const [, , kind = '', to = '', count = '0'] = process.argv
  let closed = 0
  // One after the other, so that the order of their age is that of their making.
  for (let n = 0; n < Number(count); n++) {
    const { socket, event } = open(kind as Silence, to, n)
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
