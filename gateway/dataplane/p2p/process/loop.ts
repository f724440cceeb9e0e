/** The blocking loop of the process: packets, lines and timers in one thread, and now and then a turn for Node. */
import type { Millis } from '../../../../core/clock.ts'
import type { P2pProcess } from './p2p-process.ts'

/**
 * Node hears of SIGTERM and writes its log only in its event loop, which this loop does not let run by itself. signalfd(2)
 * would need the signal blocked in every thread of Node, also those of V8, which node:ffi cannot reach. So the loop
 * returns: a turn of the event loop with nothing to do takes 5 µs, every 100 ms under load 0.005 %. A signal ends
 * poll(2) early; one that comes just before it waits for its timeout.
 */
const TURN_MS: Millis = 100
const LONGEST_WAIT_MS: Millis = 250
/** Under load the socket of the gateway and the timers are looked at so often. */
const ASIDE_MS: Millis = 2
/** Lines that the gateway's socket did not take are offered again. */
const WRITE_AGAIN_MS: Millis = 5

/** Drives the process until Node has something to do: at most for TURN_MS under load, else until a signal or a timeout. */
export function turn(p2p: P2pProcess): void {
  const { clock } = p2p
  const end = clock.monotonic() + TURN_MS
  let asideAt = 0
  for (;;) {
    noticeLate(p2p)
    const isBusy = p2p.slot.plane?.step() ?? false
    let now = clock.monotonic()
    if (isBusy) p2p.sessions.look()
    if (isBusy && now < asideAt && now < end) continue
    if (now >= p2p.nextAt) p2p.tick()
    p2p.server.flush()
    if (p2p.stopReason !== undefined) return
    now = clock.monotonic()
    asideAt = now + ASIDE_MS
    const wasIdle = wait(p2p, isBusy ? 0 : waitMs(p2p, now))
    if (wasIdle || clock.monotonic() >= end) return
  }
}

/** Before packets are read: an answer that waited here would else count as a slow path, and its absence as a dead one. */
function noticeLate(p2p: P2pProcess): void {
  const lagMs = p2p.clock.monotonic() - p2p.nextAt
  if (lagMs > 0) p2p.sessions.late(lagMs)
}

function waitMs(p2p: P2pProcess, now: Millis): Millis {
  const timers = Math.max(0, p2p.nextAt - now)
  const plane = p2p.slot.plane?.waitMs ?? Number.POSITIVE_INFINITY
  const writing = p2p.server.writing === undefined ? Number.POSITIVE_INFINITY : WRITE_AGAIN_MS
  return Math.min(timers, plane, writing, LONGEST_WAIT_MS)
}

/** @returns whether nothing was there: the time is over, or a signal came */
function wait(p2p: P2pProcess, timeoutMs: Millis): boolean {
  const { device, server, slot, watch } = p2p
  // A deleted device is readable for ever, with an error.
  const own = (slot.plane?.descriptors ?? []).filter((fd) => fd !== device.fd || device.ifindex !== undefined)
  const control = server.descriptors
  const ready = p2p.poller.wait([watch.fd, ...control, ...own], timeoutMs)
  if (ready[0] !== 0) watch.read()
  if (server.writing !== undefined || ready.slice(1, 1 + control.length).some((r) => r !== 0)) server.step()
  return timeoutMs > 0 && ready.every((r) => r === 0)
}
