/**
 * Why a pair of hosts uses UDP or not: a closed list, each reason with words for a person.
 *
 * docs/operations/why-not-direct.md lists the ways out.
 */

/** What kind of demotion a reason stands for; each kind has its own waits. */
export type DemotionKind =
  /** The path broke: it has to rest, and breaking often suppresses it. */
  | 'failure'
  /** The path works, and the gateway path is better. */
  | 'choice'
  /** A person, the peer or the process ended it; nothing is wrong with the path. */
  | 'order'

export const P2P_WORDS = {
  // No try is made
  off: 'P2P is off on this host (p2p.enabled)',
  'off for host': 'P2P with this host is off here (p2p.hosts)',
  'tier off': 'every UDP address of this host is of a kind that is switched off on it',
  'no process': 'the P2P process does not run',
  'no device': 'the P2P process has no device',
  'no UDP': 'the P2P process has no UDP socket',
  'not admitted': 'the host is not admitted',
  'no link': 'waits for the control link, over which both hosts agree on keys',
  starting: 'the first try is about to begin',
  // A try
  offering: 'offers keys and addresses to the peer',
  proving: 'proves that UDP works both ways',
  promoting: 'both hosts move their packets to UDP',
  // Carries packets
  proven: 'UDP is proven both ways',
  lossy: 'UDP is proven, and loses more than 5 % of its probes',
  'slow both ways': 'UDP is proven, and its round trip takes more than 500 ms',
  'gateway path is down': 'UDP is proven; the gateway path is down, so nothing could take over',
  'both degraded': 'UDP works badly, and the gateway path is worse or down',
  // A try failed
  'no word': 'the peer says nothing about UDP; it runs an older version',
  'no answer to offer': 'the peer does not answer the offer; it may run an older version',
  refused: 'the peer refuses',
  'no session': 'the P2P process did not take the session',
  'no probe answered': 'no probe was answered: UDP is blocked, or none of the addresses is right',
  'one way': 'UDP arrives from the peer, and nothing from here arrives there',
  'full size lost': 'small datagrams get through and full-size ones do not (path MTU)',
  unproven: 'some probes are answered, and never five in a row',
  'peer not ready': 'the peer does not take part yet',
  'promotion timed out': 'the peer did not answer the promotion within 2 s',
  'not promoted': 'the P2P process did not install the route',
  'old generation': 'the promotion is older than what the peer knows',
  // Was demoted: failures
  'no answer': 'UDP stopped answering',
  unreachable: 'the kernel has no route to the peer any more',
  'device lost': 'the P2P device is gone',
  loss: 'UDP loses 10 % or more',
  'data lost': 'UDP answers probes and loses the packets',
  'process ended': 'the P2P process ended',
  'session lost': 'the P2P process lost the session',
  // Was demoted: choices
  slower: 'UDP is slower than the gateway path',
  'too slow': 'a round trip takes more than 1 s by UDP, and less by the gateway path',
  jitter: 'UDP jitter is larger than a round trip of the gateway path',
  throughput: 'UDP is congested and far below what this pair has carried, and the gateway path is not',
  // Was demoted: orders
  'peer said goodbye': "the peer's P2P process stopped",
  'keys expired': 'the keys expired',
  'began anew': 'the peer starts over',
  'peer not promoted': 'the peer sends by its gateway path',
  demoted: 'the peer moved its packets to the gateway path',
  // Works, and has to wait
  dwell: 'UDP works; packets wait before they move again',
  'on trial': 'UDP answers again after a failure, and has to answer 12 probes in a row first',
  damped: 'UDP failed too often and is not used for a while',
} as const satisfies Readonly<Record<string, string>>

export type P2pCode = keyof typeof P2P_WORDS

export interface P2pReason {
  readonly code: P2pCode
  /** Figures, addresses or the peer's own words. */
  readonly detail?: string | undefined
}

/** Why no probe was answered, where both hosts know more than that: what it is, and where. */
export const CAUSE_WORDS = {
  blocked: {
    here: 'UDP is blocked at this host, nothing answers it; flatnet netcheck here says what helps',
    there: 'UDP is blocked at the peer, nothing answers it; flatnet netcheck there says what helps',
    both: 'UDP is blocked at both hosts, nothing answers them; flatnet netcheck says what helps',
  },
  symmetric: {
    here: 'the NAT of this host gives each destination another port (symmetric); flatnet netcheck here says what helps',
    there:
      'the NAT of the peer gives each destination another port (symmetric); flatnet netcheck there says what helps',
    both: 'the NATs of both hosts give each destination another port (symmetric); flatnet netcheck says what helps',
  },
  working: {
    here: 'UDP works at this host, so it is blocked at the peer or between the two',
    there: 'UDP works at the peer, so it is blocked at this host or between the two',
    both: 'UDP works at both hosts and not between them, where a NAT or a firewall drops it; flatnet netcheck at both says more',
  },
} as const

export const isP2pCode = (text: string): text is P2pCode => Object.hasOwn(P2P_WORDS, text)

export const reasonText = ({ code, detail }: P2pReason): string =>
  detail === undefined ? P2P_WORDS[code] : `${P2P_WORDS[code]}: ${detail}`

/** Words that name this host, as they read where a peer has said them. */
export const PEER_WORDS = {
  off: 'P2P is off there (p2p.enabled)',
  'off for host': 'P2P with this host is off there (p2p.hosts)',
  'tier off': 'every UDP address of that host is of a kind that is switched off there',
  'no process': 'its P2P process does not run',
  'no device': 'its P2P process has no device',
  'no UDP': 'its P2P process has no UDP socket',
  'not admitted': 'this host is not admitted there',
} as const satisfies Partial<Record<P2pCode, string>>

/** @param said a code, or the peer's words, e.g. `P2P is off on this host (p2p.enabled)`, which is the peer's host */
export function peerText(said: string): string {
  const text = isP2pCode(said) ? P2P_WORDS[said] : said
  for (const [code, there] of Object.entries(PEER_WORDS)) {
    const here = isP2pCode(code) ? P2P_WORDS[code] : code
    if (text === here || text.startsWith(`${here}: `)) return there + text.slice(here.length)
  }
  return text
}

const FAILURES: ReadonlySet<string> = new Set<P2pCode>([
  'no answer',
  'unreachable',
  'device lost',
  'loss',
  'data lost',
  'process ended',
  'session lost',
])
const CHOICES: ReadonlySet<string> = new Set<P2pCode>(['slower', 'too slow', 'jitter', 'throughput'])

/** @param code of this host or of a newer peer; an unknown code counts as a failure, which is the careful guess */
export function demotionKind(code: string): DemotionKind {
  if (FAILURES.has(code) || !isP2pCode(code)) return 'failure'
  return CHOICES.has(code) ? 'choice' : 'order'
}
