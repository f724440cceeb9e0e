/** Range algebra on CIDR text, by ip-num: overlaps of slices, supernets and the host's routes. */
import { IPv4CidrRange } from 'ip-num'

/** Host bits are dropped: `10.1.2.3/8` is `10.0.0.0/8`. undefined for what is not IPv4. */
function rangeOf(cidr: string): IPv4CidrRange | undefined {
  try {
    return IPv4CidrRange.fromCidr(cidr.includes('/') ? cidr : `${cidr}/32`)
  } catch {
    return undefined
  }
}

/** CIDR ranges are equal, nested or apart, so sharing the first or the last address of one of them decides. */
export function cidrsOverlap(a: string, b: string): boolean {
  const [x, y] = [rangeOf(a), rangeOf(b)]
  if (x === undefined || y === undefined) return false
  const [xFirst, xLast] = [x.getFirst().getValue(), x.getLast().getValue()]
  const [yFirst, yLast] = [y.getFirst().getValue(), y.getLast().getValue()]
  return xFirst <= yLast && yFirst <= xLast
}
