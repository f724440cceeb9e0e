/** Runs the blocking loop of the process: packets, lines and timers in one thread, and at times a turn for Node. */
import type { Millis } from '../../../../core/clock.ts'
import type { P2pProcess } from './p2p-process.ts'

/**
 * Node notices SIGTERM and writes its log only in its event loop, which cannot run inside this loop. signalfd(2) would
 * need the signal blocked in every thread of Node, and node:ffi cannot reach those of V8. So this loop returns now and
 * then, and at once when a signal ends poll(2) early; one that comes just before poll(2) waits for its timeout. A turn
 * of the event loop takes 5 µs under load and 100 µs after a sleep.
 */
const TURN_MS: Millis = 250
const LONGEST_WAIT_MS: Millis = 250
/** Under load, how often the loop looks at the gateway's socket and the timers. */
const ASIDE_MS: Millis = 2
/** When to write again the lines that the gateway's socket did not take. */
const WRITE_AGAIN_MS: Millis = 5

/** What is polled for, by its place in the poller. */
const Place = { underlay: 0, listener: 1, client: 2, socket: 3, device: 4 } as const
export const PLACES = 5

/** Drives the process until Node gets its turn: after TURN_MS, or at a signal. */
export function turn(p2p: P2pProcess): void {
  const { clock } = p2p
  const end = clock.monotonic() + TURN_MS
  let asideAt = 0
  let readsSocket = true
  let readsDevice = true
  for (;;) {
    noticeLate(p2p)
    const { plane } = p2p.slot
    if (plane?.step(readsSocket, readsDevice) === true) p2p.sessions.look(plane)
    readsSocket = true
    readsDevice = true
    const isBusy = plane?.mayHaveMore === true
    let now = clock.monotonic()
    if (isBusy && now < asideAt && now < end) continue
    if (now >= p2p.nextAt) p2p.tick()
    p2p.server.flush()
    if (p2p.stopReason !== undefined && !p2p.isLeaving) return
    now = clock.monotonic()
    asideAt = now + ASIDE_MS
    const found = wait(p2p, isBusy ? 0 : waitMs(p2p, now))
    if (found === 'interrupted' || clock.monotonic() >= end) return
    if (isBusy) continue
    // After a timeout both are read: a sender without credit may go on.
    readsSocket = found !== 'ready' || p2p.poller.isReady(Place.socket)
    readsDevice = found !== 'ready' || p2p.poller.isReady(Place.device)
  }
}

/** Runs before packets are read: else an answer that waited in the socket would make its path look slow or dead. */
function noticeLate(p2p: P2pProcess): void {
  const lagMs = p2p.clock.monotonic() - p2p.nextAt
  if (lagMs > 0) p2p.sessions.late(lagMs)
}

function waitMs(p2p: P2pProcess, now: Millis): Millis {
  const timers = Math.max(0, p2p.nextAt - now)
  const plane = p2p.slot.plane?.waitMs ?? Number.POSITIVE_INFINITY
  const holding = p2p.slot.plane?.holdMs ?? Number.POSITIVE_INFINITY
  const writing = p2p.server.writing === undefined ? Number.POSITIVE_INFINITY : WRITE_AGAIN_MS
  return Math.min(timers, plane, holding, writing, LONGEST_WAIT_MS)
}

function wait(p2p: P2pProcess, timeoutMs: Millis): ReturnType<P2pProcess['poller']['wait']> {
  const { device, poller, server, slot, watch } = p2p
  // A deleted device is readable for ever, with an error.
  const readsDevice = device.ifindex !== undefined && slot.plane?.readsDevice === true
  poller.watch(Place.underlay, watch.fd)
  poller.watch(Place.listener, server.listenerFd)
  poller.watch(Place.client, server.clientFd ?? -1)
  poller.watch(Place.socket, slot.plane === undefined ? -1 : (slot.fd ?? -1))
  poller.watch(Place.device, readsDevice ? (device.fd ?? -1) : -1)
  const found = poller.wait(timeoutMs)
  const isReady = found === 'ready'
  if (isReady && poller.isReady(Place.underlay)) watch.read()
  const isAsked = isReady && (poller.isReady(Place.listener) || poller.isReady(Place.client))
  if (server.writing !== undefined || isAsked) server.step()
  return found
}
