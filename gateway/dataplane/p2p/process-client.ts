/** The gateway's end of the socket to its P2P process: one connection, JSON lines, bounded both ways. */

import { connect, type Socket } from 'node:net'
import type { Millis } from '../../../core/clock.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import {
  type FromProcess,
  LineSplitter,
  lineOf,
  P2P_PROTOCOL,
  ProtocolError,
  parseFromProcess,
  type ToProcess,
} from './protocol.ts'

export type ProcessHello = Extract<FromProcess, { readonly type: 'hello' }>

/** A process on this machine answers within a millisecond, unless it hangs. */
const HELLO_MS: Millis = 2_000
/** 253 sessions are 100 KB. With more than this unread the process hangs, and the gateway drops the connection. */
const MAX_BACKLOG = 1_048_576

export interface ProcessHandlers {
  /** Called when the process has answered, before any other message. */
  ready(connection: ProcessConnection): void
  message(message: FromProcess): void
  /** Called once, whichever side closed the connection. @param wasReady whether it was ever ready */
  closed(reason: string): void
}

export class ProcessConnection {
  readonly hello: ProcessHello
  readonly #socket: Socket

  constructor(socket: Socket, hello: ProcessHello) {
    this.#socket = socket
    this.hello = hello
  }

  /** @returns false: the connection is closed, or is being closed because the process does not read */
  send(message: ToProcess): boolean {
    if (this.#socket.destroyed) return false
    if (this.#socket.writableLength > MAX_BACKLOG) {
      this.#socket.destroy(new Error('the P2P process does not read'))
      return false
    }
    this.#socket.write(lineOf(message))
    return true
  }

  close(): void {
    this.#socket.destroy()
  }
}

export interface ProcessAddress {
  readonly path: string
  /** This gateway's version. */
  readonly version: string
  readonly scheduler: Scheduler
}

/** @returns a function that gives up */
export function connectProcess(
  { path, version, scheduler }: ProcessAddress,
  handlers: ProcessHandlers,
): () => void {
  const socket = connect(path)
  const lines = new LineSplitter()
  let isReady = false
  let problem: Error | undefined
  const cancel = scheduler.after(HELLO_MS, () =>
    socket.destroy(new Error(`the P2P process at ${path} did not answer within ${HELLO_MS} ms`)),
  )
  const received = (message: FromProcess): void => {
    if (message.type === 'refused') throw new ProtocolError(message.problem)
    if (isReady) handlers.message(message)
    else if (message.type === 'hello') {
      cancel()
      isReady = true
      handlers.ready(new ProcessConnection(socket, message))
    } else throw new ProtocolError(`first line is ${message.type}: must be hello`)
  }
  socket.on('connect', () => socket.write(lineOf({ type: 'hello', protocol: P2P_PROTOCOL, version })))
  socket.on('data', (chunk: Buffer) => {
    try {
      for (const line of lines.push(chunk)) if (!socket.destroyed) received(parseFromProcess(line))
    } catch (err) {
      if (!(err instanceof ProtocolError)) throw err
      socket.destroy(err)
    }
  })
  socket.on('error', (err) => {
    problem = err
  })
  socket.on('close', () => {
    cancel()
    handlers.closed(problem?.message ?? 'the P2P process closed the connection')
  })
  return () => socket.destroy()
}
