/** What `GET /v1/status` says of names on the LAN. */

import type { Link } from './link.ts'
import type { PublishedNames } from './published-names.ts'

export interface MdnsStatus {
  /** Names that are published on a link, or on several. */
  readonly published: number
  /** Names that are asked for on a link, as another host may have them. */
  readonly probing: number
  readonly links: readonly {
    readonly ifname: string
    /** What the names lead to. */
    readonly address: string
    /** null: none. */
    readonly problem: string | null
  }[]
  /** Names that another host of a link has. */
  readonly taken: readonly { readonly name: string; readonly ifname: string; readonly by: string }[]
  /** null: none. Why names are not published, or not all. */
  readonly problem: string | null
}

/** In a LAN where each name is taken, the answer stays short. */
const MAX_TAKEN = 20

/** Pure. */
export function mdnsStatus(
  links: readonly Pick<Link, 'lan' | 'names' | 'problem'>[],
  { isCut, names }: PublishedNames,
  problem: string | undefined,
): MdnsStatus {
  const all = links.flatMap((link) => link.names.names.map((n) => ({ ...n, ifname: link.lan.ifname })))
  const count = (phase: string): number =>
    new Set(all.filter((n) => n.phase === phase).map(({ name }) => name)).size
  const taken = all.filter(({ phase }) => phase === 'taken').slice(0, MAX_TAKEN)
  return {
    published: count('published'),
    probing: count('probing'),
    links: links.map(({ lan, problem: own = null }) => ({
      ifname: lan.ifname,
      address: lan.address,
      problem: own,
    })),
    taken: taken.map(({ name, ifname, by = '' }) => ({ name, ifname, by })),
    problem: problem ?? problemOf(links.length, isCut, names.size),
  }
}

function problemOf(links: number, isCut: boolean, names: number): string | null {
  if (links === 0) return 'no interface of this host is on a LAN that ingress listens on'
  return isCut ? `this host has more names than the ${names} that it publishes; the rest are left out` : null
}
