/** Connects to a container of another host through its gateway, which dials for this one. */

import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../../core/clock.ts'
import type { Streams } from '../../links/streams/streams.ts'

/** The purpose of such a stream, and the rest of its head. */
export const TCP = 'tcp'
export interface TcpHead {
  readonly ip: string
  readonly port: number
  /** For the connection to the container. */
  readonly timeoutMs: Millis
}

/** Why the peer's own dialling failed, or why it does not dial; both sides know these words. */
export type Refusal = 'refused' | 'timeout' | 'unreachable' | 'gone' | 'forbidden' | 'bad-request'

/** For the stream itself, on top of the container's time: several endpoints, and a request to dial back. */
const STREAM_MS: Millis = 2_000

/** Opens streams to other gateways. */
export type StreamOpener = Pick<Streams, 'open'>

export interface StreamDial extends TcpHead {
  readonly hostId: number
  /** For stream and container together. */
  readonly remainingMs: Millis
  readonly allowHalfOpen: boolean
}

/** @throws {StreamError} with a Refusal as its reason, if the peer answered */
export async function connectByStream(streams: StreamOpener, to: StreamDial): Promise<TLSSocket> {
  const { hostId, ip, port, allowHalfOpen } = to
  const timeoutMs = Math.max(1, Math.min(to.timeoutMs + STREAM_MS, to.remainingMs))
  const head: TcpHead = { ip, port, timeoutMs: Math.min(to.timeoutMs, timeoutMs) }
  const socket = await streams.open(hostId, { purpose: TCP, ...head }, { timeoutMs })
  socket.allowHalfOpen = allowHalfOpen
  return socket
}
