/** Keeps hosts from finding a direct path until a test lets them, and tells how long they took then. */
import type { Test } from 'tap'
import type { TestHost } from '../cluster/hosts.ts'
import type { Stalls } from '../run/stalls.ts'

const HUB_IP = '192.0.2.1'

/** Stops their UDP, but to these addresses in public: there it carries STUN, and no packets of pairs. */
export function hold(hosts: readonly TestHost[], free: readonly string[] = [HUB_IP]): void {
  for (const { ns } of hosts) {
    const drop = (...what: string[]) =>
      ns.exec('nft', 'insert', 'rule', 'inet', 'cut', 'out', ...what, 'drop')
    drop('udp', 'sport', '7443', 'ip', 'daddr', '!=', `{ ${['127.0.0.1', ...free].join(', ')} }`)
    drop('udp', 'sport', '7443', 'meta', 'nfproto', 'ipv6')
  }
}

/** Lets UDP pass and orders a try. @returns since when each of all was free, wall clock, ms */
export async function free(
  held: readonly TestHost[],
  all: readonly TestHost[] = held,
): Promise<Map<TestHost, number>> {
  const at = new Map<TestHost, number>()
  for (const host of all) {
    at.set(host, Date.now())
    if (held.includes(host)) host.ns.exec('nft', 'flush', 'chain', 'inet', 'cut', 'out')
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

/**
 * Asserts that it took no longer than this, without the time in which a processor was waited for, and prints both.
 * @param withinMs on a machine that does nothing else
 */
export function heldTo(t: Test, what: string, { from, to }: Span, stalls: Stalls, withinMs: number): boolean {
  const stalledMs = Math.round(stalls.between(from, to))
  const tookMs = Math.round(to - from)
  // A span that ends before it begins would keep any bound.
  return t.ok(
    tookMs >= 0 && tookMs - stalledMs <= withinMs,
    `${what} after ${tookMs} ms, ${stalledMs} of them without a processor: ` +
      `${tookMs - stalledMs} ms (bound ${withinMs})`,
  )
}
