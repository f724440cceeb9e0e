/** The words nearest to a mistyped one, for "did you mean" in problems and on the gateway's pages. */

/**
 * Longer words are not compared: the work grows with the product of the lengths, and the word may come from a stranger.
 */
const MAX_LENGTH = 64

/** Optimal string alignment distance: insert, delete, replace and swap of neighbours count 1 each. */
export function distance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, before[j - 2]! + 1)
      }
      row.push(best)
    }
    before = last
    last = row
  }
  return last[b.length]!
}

/** Whether `distance` is 1, by what the two do not share at either end: every ADD asks this of every key. */
export function isOneOff(a: string, b: string): boolean {
  let start = 0
  while (start < a.length && a[start] === b[start]) start++
  let [endA, endB] = [a.length, b.length]
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) {
    endA--
    endB--
  }
  const [ofA, ofB] = [endA - start, endB - start]
  if (ofA === 2 && ofB === 2) return a[start] === b[start + 1] && a[start + 1] === b[start]
  return ofA <= 1 && ofB <= 1 && ofA + ofB > 0
}

/**
 * Up to `count` of `known`, nearest first: a third of the letters may differ, and one word may begin with the other.
 */
export function nearest(word: string, known: Iterable<string>, count = 1): string[] {
  const wanted = word.toLowerCase()
  if (wanted.length === 0 || wanted.length > MAX_LENGTH) return []
  const found: { name: string; far: number }[] = []
  for (const name of known) {
    const lower = name.toLowerCase()
    if (lower.length > MAX_LENGTH) continue
    const far = distance(wanted, lower)
    const begins = wanted.length >= 2 && (lower.startsWith(wanted) || wanted.startsWith(lower))
    if (begins || far <= Math.max(1, Math.floor(wanted.length / 3))) found.push({ name, far })
  }
  return found
    .sort((a, b) => a.far - b.far || a.name.localeCompare(b.name))
    .slice(0, count)
    .map((f) => f.name)
}
