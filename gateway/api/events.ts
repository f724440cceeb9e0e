/** `GET /v1/events`: the event bus as Server-Sent Events, for readers that keep up. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Events, Numbered } from '../base/events.ts'
import { ApiProblem } from './answer.ts'

const MAX_READERS = 64
/** What a slow reader may leave unread, beyond the kernel's buffers, before it is disconnected. */
const MAX_UNREAD_BYTES = 262_144
/** Proxies and NAT forget idle connections after 30 s and more. */
const HEARTBEAT_MS = 15_000

export class EventStreams {
  readonly #events: Events
  readonly #epoch: number
  readonly #onDropped: () => void
  readonly #open = new Set<ServerResponse>()

  /** @param onDropped called for every reader that was too slow */
  constructor(events: Events, epoch: number, onDropped: () => void) {
    this.#events = events
    this.#epoch = epoch
    this.#onDropped = onDropped
  }

  get readers(): number {
    return this.#open.size
  }

  /**
   * Ids are `<epoch>-<number>`. A reader that comes back with `Last-Event-ID` gets what it missed; when that is
   * forgotten, or from another run, its first event is `reset` and it has to read the tables again.
   */
  open(req: IncomingMessage, res: ServerResponse): void {
    if (this.#open.size >= MAX_READERS)
      throw new ApiProblem('ERR_FLATNET_API_BUSY', 'too many readers of events')
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    res.write(`retry: 1000\n\n`)
    if (req.method === 'HEAD') {
      res.end()
      return
    }
    this.#open.add(res)
    this.#catchUp(req.headers['last-event-id'], res)
    const stop = this.#events.listen((numbered) => this.#send(res, this.#format(numbered)))
    const heartbeat = setInterval(() => this.#send(res, ': still here\n\n'), HEARTBEAT_MS)
    res.on('close', () => {
      clearInterval(heartbeat)
      stop()
      this.#open.delete(res)
    })
  }

  close(): void {
    for (const res of this.#open) res.end()
  }

  #catchUp(lastId: string | string[] | undefined, res: ServerResponse): void {
    if (typeof lastId !== 'string') {
      this.#send(res, `id: ${this.#epoch}-${this.#events.lastId}\nevent: hello\ndata: {}\n\n`)
      return
    }
    const [, epoch, id] = /^(\d{1,15})-(\d{1,15})$/.exec(lastId) ?? []
    const missed = Number(epoch) === this.#epoch ? this.#events.since(Number(id)) : undefined
    if (missed === undefined) {
      this.#send(res, `id: ${this.#epoch}-${this.#events.lastId}\nevent: reset\ndata: {}\n\n`)
    }
    for (const numbered of missed ?? []) this.#send(res, this.#format(numbered))
  }

  #format({ id, event }: Numbered): string {
    const { type, ...data } = event
    return `id: ${this.#epoch}-${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`
  }

  #send(res: ServerResponse, text: string): void {
    if (res.destroyed || res.writableEnded) return
    res.write(text)
    if (res.writableLength <= MAX_UNREAD_BYTES) return
    this.#onDropped()
    res.destroy()
  }
}
