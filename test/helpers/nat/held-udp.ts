/** Keeps hosts from finding a direct path until a test lets them, and tells how long they took then. */
import type { Test } from 'tap'
import type { TestHost } from '../cluster/hosts.ts'
import { keepsBound } from '../run/bound.ts'
import type { Stalls } from '../run/stalls.ts'

const HUB_IP = '192.0.2.1'

/** UDP of direct paths that leaves this host, if it is also so. */
function drop({ ns }: TestHost, ...what: string[]): void {
  ns.exec('nft', 'insert', 'rule', 'inet', 'cut', 'out', 'udp', 'sport', '7443', ...what, 'drop')
}

const oneOf = (addresses: readonly string[]): string => `{ ${[...new Set(addresses)].join(', ')} }`

/** Stops their UDP, but to these addresses in public: there it carries STUN, and no packets of pairs. */
export function hold(hosts: readonly TestHost[], free: readonly string[] = [HUB_IP]): void {
  for (const host of hosts) {
    drop(host, 'ip', 'daddr', '!=', oneOf(['127.0.0.1', ...free]))
    drop(host, 'meta', 'nfproto', 'ipv6')
  }
}

/** A host, and the IPv4 addresses that UDP for it goes to. */
interface Reached {
  readonly host: TestHost
  readonly addresses: readonly string[]
}

/** Stops the UDP of two hosts, and none but theirs where no other pair of them uses IPv6. */
export function holdBetween([one, two]: readonly [Reached, Reached]): void {
  for (const [{ host }, { addresses }] of [
    [one, two],
    [two, one],
  ] as const) {
    drop(host, 'ip', 'daddr', oneOf(addresses))
    drop(host, 'meta', 'nfproto', 'ipv6')
  }
}

const release = ({ ns }: TestHost): void => {
  ns.exec('nft', 'flush', 'chain', 'inet', 'cut', 'out')
}

/** Lets UDP of the two pass and orders a try. @returns since when, wall clock, ms */
export async function freeBetween([one, two]: readonly [Reached, Reached]): Promise<number> {
  const at = Date.now()
  for (const { host } of [one, two]) release(host)
  await Promise.all([retry(one.host, two.host.index), retry(two.host, one.host.index)])
  return at
}

/** A person's order: damping, rests and waits after a failure end with it. */
const retry = (host: TestHost, to: number): Promise<unknown> => host.api(`/v1/paths/${to}/retry`, {})

/** Lets UDP pass and orders a try. @returns since when each of all was free, wall clock, ms */
export async function free(
  held: readonly TestHost[],
  all: readonly TestHost[] = held,
): Promise<Map<TestHost, number>> {
  const at = new Map<TestHost, number>()
  for (const host of all) {
    at.set(host, Date.now())
    if (held.includes(host)) release(host)
  }
  await Promise.all(all.map((host) => host.api('/v1/paths/retry', {})))
  return at
}

/** When the host wrote down that its path to another was in such a state, wall clock, in order. */
export const timesOf = (from: TestHost, to: number, state: RegExp): number[] =>
  from
    .logged('path changed')
    .filter(({ peer, path }) => peer === to && state.test(path))
    .map(({ time }) => Date.parse(time))

/** Wall clock, ms. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** How long something took without the time in which a processor was waited for, and in words how long with it. */
export interface Calm {
  /** NaN: it ended before it began, and would keep any bound. */
  readonly ms: number
  readonly text: string
}

/**
 * What takes longer is late beside any other work, and fails at once: a try that proves nothing ends after 10 s, and the
 * next one follows soon.
 */
export const LATEST_MS = 20_000

/** Of a time, how much at most may count as waiting for a processor. */
const MOST_STALLED = 0.8

export function calm({ from, to }: Span, stalls: Stalls): Calm {
  const tookMs = Math.round(to - from)
  const stalledMs = Math.round(stalls.between(from, to))
  // On a machine that is never calm all time counts as waiting, and a bound must not hold by that alone.
  const ms = tookMs < 0 ? Number.NaN : tookMs - Math.min(stalledMs, Math.round(tookMs * MOST_STALLED))
  return { ms, text: `after ${tookMs} ms, ${stalledMs} of them without a processor: ${ms} ms` }
}

/**
 * Asserts that it took no longer than this, without the time in which a processor was waited for, and prints both.
 * @param withinMs on a machine that does nothing else
 */
export function heldTo(t: Test, what: string, span: Span, stalls: Stalls, withinMs: number): boolean {
  const { ms, text } = calm(span, stalls)
  return t.ok(ms <= withinMs, `${what} ${text} (bound ${withinMs})`)
}

/**
 * Asserts that something keeps its bound by itself, where other work made it late before. All of the time counts.
 * @param again makes it happen anew
 */
export const keepsBoundAlone = (
  t: Test,
  what: string,
  withinMs: number,
  again: () => Promise<Span>,
): Promise<boolean> =>
  keepsBound(t, `${what}, by itself`, withinMs, async () => {
    const { from, to } = await again()
    return to - from
  })
