/** A server in its own thread that records what it executes and ends connections unexpectedly. */

import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import type { Test } from 'tap'
import type { Container } from './gateway-upstream.ts'

/** How the server ends connections. No answer announces any of it. */
export interface Habits {
  /** Ends a connection that has been idle for this long. */
  readonly idleMs?: number
  /** Ends a connection right after this many answers on it. */
  readonly endsAfter?: number
  /** Breaks the connection at every nth request, once it is executed. */
  readonly crashesAt?: number
  /** Ends by a reset. */
  readonly resets?: boolean
}

interface Order {
  readonly ip: string
  readonly habits: Habits
}

export interface FlakyServer extends Container {
  /** How often each request was executed, by its `x-id`. */
  executed(): Promise<Map<string, number>>
}

export async function flakyServer(t: Test, ip: string, habits: Habits): Promise<FlakyServer> {
  const worker = new Worker(import.meta.filename, { workerData: { ip, habits } satisfies Order })
  t.teardown(() => worker.terminate())
  const [port] = await once(worker, 'message')
  return {
    ip,
    port,
    at: { ips: [`${ip}/16`], httpPort: port },
    async executed() {
      worker.postMessage('report')
      const [ids] = (await once(worker, 'message')) as [string[]]
      const counts = new Map<string, number>()
      for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1)
      return counts
    },
  }
}

const HEAD_END = '\r\n\r\n'

function serve({ ip, habits }: Order): void {
  const { idleMs, endsAfter = 0, crashesAt = 0, resets = false } = habits
  const executed: string[] = []
  const end = (socket: Socket): unknown => (resets ? socket.resetAndDestroy() : socket.destroy())
  const server = createServer({ noDelay: true }, (socket) => {
    let text = ''
    let answers = 0
    let idle: NodeJS.Timeout | undefined
    socket.on('error', () => {})
    socket.on('close', () => clearTimeout(idle))
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      clearTimeout(idle)
      text += chunk
      const head = text.slice(0, text.indexOf(HEAD_END) + HEAD_END.length)
      const [, length = '0'] = /^content-length: (\d+)/im.exec(head) ?? []
      if (head.length < HEAD_END.length || text.length < head.length + Number(length)) return
      text = text.slice(head.length + Number(length))
      const [, id = ''] = /^x-id: (\S+)/im.exec(head) ?? []
      executed.push(id)
      if (crashesAt > 0 && executed.length % crashesAt === 0) {
        end(socket)
        return
      }
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${id.length}\r\n\r\n${id}`)
      if (++answers === endsAfter) end(socket)
      else if (idleMs !== undefined) idle = setTimeout(end, idleMs, socket)
    })
  })
  server.listen(0, ip, () => {
    const address = server.address()
    parentPort?.postMessage(typeof address === 'object' ? address?.port : 0)
  })
  parentPort?.on('message', () => parentPort?.postMessage(executed))
}

if (!isMainThread && workerData !== undefined && 'habits' in workerData) serve(workerData)
