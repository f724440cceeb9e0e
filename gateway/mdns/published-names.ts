/** Which names of this host's containers are published on the LAN. Pure but for its look-up. */

import type { Assignment } from '../../core/api.ts'
import type { NameLookup } from '../registry/names.ts'

/** A label that every browser takes for a host's name. */
const LABEL_RE = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/
/** Podman gives each container the first digits of its id as an alias. */
const SHORT_ID_LENGTH = 12
/** Twice the containers of a slice; it bounds what a link is told and what it can ask for. */
const MAX_NAMES = 512

export interface PublishedNames {
  /** `web.local` */
  readonly names: ReadonlySet<string>
  /** There are more than are published. */
  readonly isCut: boolean
}

/**
 * One host publishes a name: that of the container which ingress takes it for.
 * @param own assignments of this host
 * @param lookup without reserved names
 */
export function publishedNames(
  own: Iterable<Assignment>,
  hostId: number,
  lookup: Pick<NameLookup, 'byName'>,
): PublishedNames {
  const names = new Set<string>()
  for (const assignment of own)
    for (const label of labelsOf(assignment)) {
      const name = `${label}.local`
      if (names.has(name) || lookup.byName(label)[0]?.hostId !== hostId) continue
      if (names.size === MAX_NAMES) return { names, isCut: true }
      names.add(name)
    }
  return { names, isCut: false }
}

/** Machines take settings from these names by themselves: Windows' DNS server blocks the same two. */
const BLOCKED: ReadonlySet<string> = new Set(['wpad', 'isatap'])

function labelsOf({ aliases, containerId, name }: Assignment): string[] {
  const isId = (alias: string): boolean => alias.length >= SHORT_ID_LENGTH && containerId.startsWith(alias)
  const all = [...(name === undefined ? [] : [name]), ...aliases.filter((alias) => !isId(alias))]
  return all.map((text) => text.toLowerCase()).filter((label) => LABEL_RE.test(label) && !BLOCKED.has(label))
}
