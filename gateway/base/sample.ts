/** Chooses members of a list at random. Pure: the randomness is an argument. */

/** @returns `count` of the items, or all if there are fewer, in random order. @param random 0 to 1, fresh each time */
export function sample<T>(items: readonly T[], count: number, random: () => number): T[] {
  return items
    .map((item) => ({ item, order: random() }))
    .sort((a, b) => a.order - b.order)
    .slice(0, count)
    .map(({ item }) => item)
}
