/** Stand-ins for containers: HTTP servers and scripted TCP servers on addresses of 127.1.0.0/16. */

import { once } from 'node:events'
import { createServer as createHttp, type Server as HttpServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

type Teardown = Pick<Test, 'teardown'>

export interface Container {
  readonly ip: string
  readonly port: number
  /** For `register`: `{ ips, httpPort }`. */
  readonly at: { readonly ips: string[]; readonly httpPort: number }
}

let nextIp = 10

const freshIp = (): string => `127.1.${(process.pid % 200) + 1}.${nextIp++}`

const containerAt = (ip: string, port: number): Container => ({
  ip,
  port,
  at: { ips: [`${ip}/16`], httpPort: port },
})

export async function httpContainer(
  t: Teardown,
  listener: RequestListener,
): Promise<Container & { readonly server: HttpServer }> {
  const server = createHttp(listener)
  const ip = freshIp()
  server.listen(0, ip)
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { ...containerAt(ip, (server.address() as AddressInfo).port), server }
}

/** What one accepted connection does; it gets the socket, and the bytes so far when it waits for a request. */
export type Act = (socket: Socket) => void

export interface Scripted extends Container {
  /** Connections accepted so far, and all that was read on each. */
  readonly received: string[]
}

/** Each connection plays the next act; later ones repeat the last act. */
export async function scriptedContainer(t: Teardown, acts: readonly Act[]): Promise<Scripted> {
  const received: string[] = []
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => {})
    const n = received.push('') - 1
    socket.on('data', (chunk) => {
      received[n] += chunk.toString('latin1')
    })
    acts[Math.min(n, acts.length - 1)]?.(socket)
  })
  const ip = freshIp()
  server.listen(0, ip)
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { ...containerAt(ip, (server.address() as AddressInfo).port), received }
}

/** A port on an address on which no server listens. */
export async function deadContainer(): Promise<Container> {
  const server = createServer()
  const ip = freshIp()
  server.listen(0, ip)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return containerAt(ip, port)
}

/** Sends bytes as they are and returns all bytes until the other side closes, within 10 s. */
export function raw(
  port: number,
  bytes: string | Buffer,
  options: { readonly end?: boolean } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const timer = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no end within 10 s, so far: ${text}`))
    }, 10_000)
    let text = ''
    const done = (): void => {
      clearTimeout(timer)
      resolve(text)
    }
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', done)
    socket.on('close', done)
    socket.write(bytes)
    if (options.end === true) socket.end()
  })
}

/** Resolves once `check` holds; looked at after every turn of the event loop, bounded by 5 s. */
export async function until(check: () => boolean | Promise<boolean>, what = 'condition'): Promise<void> {
  const endAt = performance.now() + 5000
  while (!(await check())) {
    if (performance.now() > endAt) throw new Error(`${what} did not come true within 5 s`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
