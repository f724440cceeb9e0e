/** Reasons of the escalation, which speak of UDP, as they read where Nebula is meant. Pure. */

/** In order: each text of paths/escalation/reasons.ts is made of these. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/P2P is off (on this host|there) \(p2p\.enabled\)/g, 'Nebula is off $1 (paths.nebula.enabled)'],
  [/P2P with this host is off (here|there) \(p2p\.hosts\)/g, 'Nebula with this host is off $1'],
  [
    /the peer says nothing about UDP; it runs an older version/g,
    'the peer says nothing about Nebula; it is off there, or an older version runs',
  ],
  [/(its|the|the peer's) P2P process does not run/g, 'Nebula does not run'],
  [/the P2P process has no device|the P2P device is gone/g, "Nebula's device is gone"],
  [/(?:its|the|the peer's) P2P process/g, 'Nebula'],
  [
    /UDP is blocked, or none of the addresses is right/g,
    'no certificate with the slice, or Nebula finds no way to the peer',
  ],
  [/small datagrams/g, 'small packets'],
  [/UDP|P2P/g, 'Nebula'],
]

export const nebulaWords = (reason: string): string =>
  WORDS.reduce((text, [pattern, words]) => text.replace(pattern, words), reason)
