/**
 * The tables `inet flatnet` and `bridge flatnet`: loaded whole when one is absent or of another version.
 *
 * Otherwise they are only read. Their text is conf/flatnet.nft and comes as an argument.
 */

import type { Request } from 'netlink-ts/message.ts'
import { elementsGet } from 'netlink-ts/netfilter/elemget.ts'
import { port, prefixElements } from 'netlink-ts/netfilter/keys.ts'
import { NFPROTO_BRIDGE, NFPROTO_INET, nftTransaction } from 'netlink-ts/netfilter/nfnetlink.ts'
import {
  type SetElement,
  setElemAddRequest,
  setElemDelRequest,
  setElemList,
  setFlushRequest,
  setGet,
} from 'netlink-ts/netfilter/set.ts'
import { tableGet } from 'netlink-ts/netfilter/table.ts'
import { NETLINK_NETFILTER, NetlinkSocket } from 'netlink-ts/socket.ts'
import { contains, formatPrefix, type Ipv4, ipv4Bytes, type Prefix4, parsePrefix4 } from '../core/addr.ts'
import { type Millis, monotonic } from '../core/clock.ts'
import { FlatnetError } from '../core/errors.ts'
import { type FlockOptions, withFlock } from './flock.ts'
import { addBlock, passedElement } from './guard.ts'
import { Netfilter } from './netfilter.ts'
import { nftLoad } from './nft.ts'
import { elementText, isUnsupported, TABLE, withoutBridge } from './rules-text.ts'

/** Of conf/flatnet.nft: the set `version_<N>` of both tables. */
const VERSION = 8
const VERSION_SET = `version_${VERSION}`
/** Of conf/flatnet.nft as `withoutBridge` leaves it. */
const WITHOUT_BRIDGE = 'without_bridge'
/** Sets whose content outlives a change of version. */
const KEPT = {
  inet: [
    'supernets',
    'masq',
    'bridges',
    'host_access',
    'open_ports',
    'name_servers',
    'refused_ports',
    'members',
    'members6',
    'carriers',
    'carrier_ports',
    'ports',
    'ports_any',
  ],
  bridge: ['armed', 'sources'],
} as const
/** By which containers of other hosts come: the devices of kernel/tun.ts, and of the Nebula that the gateway runs. */
const TUNNELS = ['flatnet-gw', 'flatnet-p2p', 'flatnet-nebula']
/** struct nft_set ifname keys: IFNAMSIZ, padded with NUL. */
const IFNAMSIZ = 16

export interface NetworkRules {
  readonly bridge: string
  readonly supernet: Prefix4
  /** This host's part: what is masqueraded. */
  readonly slice: Prefix4
  readonly masquerade: boolean
  /** Its containers reach this host's services, and so do those of other hosts. */
  readonly hostAccess: boolean
  /** A container that is about to be attached, whose port passes what is made of its address. */
  readonly guarded?: { readonly mac: string; readonly ip: Ipv4 } | undefined
  /** Of the lock that one loader holds; below dataDir. */
  readonly lockPath: string
  /**
   * Absent: some seconds, as for the plugin. The gateway waits less: this thread serves requests, and it tries again.
   */
  readonly timeouts?: { readonly lockMs: Millis; readonly loadMs: Millis }
  /** Of `monotonic()`: neither lock nor nft is waited for after it. Absent: `timeouts` alone decide. */
  readonly until?: Millis
}

/**
 * `ready`: nothing to do. `partial`: the tables stand, this network is not in them. `absent`: one is missing, or an old
 * one.
 */
export type RulesState = 'ready' | 'partial' | 'absent'

/** The comment of a network's bridge in the set `bridges`, by which it counts as set up. */
export const networkMark = ({ supernet, slice, masquerade, hostAccess }: Marked): string =>
  `v${VERSION} ${formatPrefix(supernet)} ${formatPrefix(slice)} ` +
  `${masquerade ? 'masq' : 'plain'}${hostAccess ? ' host-access' : ''}`

type Marked = Pick<NetworkRules, 'supernet' | 'slice' | 'masquerade' | 'hostAccess'>

export function ifnameKey(name: string): Uint8Array {
  const key = new Uint8Array(IFNAMSIZ)
  new TextEncoder().encodeInto(name, key)
  return key
}

/** One look-up when all is well, however many containers there are. */
export function rulesState(rules: NetworkRules): RulesState {
  using socket = NetlinkSocket.open(NETLINK_NETFILTER)
  return look(socket, rules).state
}

interface Found {
  readonly state: RulesState
  /** The ruleset knows what `rules.guarded` sends, or there is none. */
  readonly isKnown: boolean
}

function look(socket: NetlinkSocket, rules: NetworkRules): Found {
  const { guarded } = rules
  const [bridge, version, passed] = elementsGet(socket, [
    { family: NFPROTO_INET, table: TABLE, set: 'bridges', key: ifnameKey(rules.bridge) },
    { family: NFPROTO_BRIDGE, table: TABLE, set: VERSION_SET, key: port(VERSION) },
    ...(guarded === undefined ? [] : [passedElement({ ...guarded, group: guarded.ip })]),
  ])
  const isKnown = guarded === undefined || passed !== undefined
  if (version === undefined && !isWithoutBridge(socket)) return { state: 'absent', isKnown }
  if (bridge?.comment === networkMark(rules)) return { state: 'ready', isKnown }
  const isOurs = setGet(socket, NFPROTO_INET, TABLE, VERSION_SET) !== undefined
  return { state: isOurs ? 'partial' : 'absent', isKnown }
}

/**
 * Loads the tables when necessary and adds this network. Several processes at once are safe: one loads, under a lock.
 * @param text of the ruleset
 * @returns what it found
 * @throws {FlatnetError} ERR_FLATNET_NFTABLES: no nft, or the kernel refuses
 */
export function ensureRules(rules: NetworkRules, text: () => string, shared?: Netfilter): RulesState {
  using single = new Netfilter()
  const { socket } = shared ?? single
  const { state, isKnown } = look(socket, rules)
  if (state !== 'ready') {
    withFlock(rules.lockPath, lockOptions(rules), () => {
      if (look(socket, rules).state === 'absent') load(socket, text(), loadMsOf(rules))
      addNetwork(socket, rules)
    })
  }
  if (rules.guarded !== undefined && !isKnown && !isWithoutBridge(socket)) addBlock(socket, rules.guarded.ip)
  return state
}

const lockOptions = ({ timeouts, until }: NetworkRules): FlockOptions => ({
  ...(timeouts !== undefined && { timeoutMs: timeouts.lockMs }),
  ...(until !== undefined && { until }),
})

/** Fifty times what nft needs: when the lock took all of the time, a load is tried all the same. */
const LEAST_LOAD_MS = 1_000

const loadMsOf = ({ timeouts, until }: NetworkRules): Millis | undefined =>
  until === undefined ? timeouts?.loadMs : Math.max(LEAST_LOAD_MS, Math.round(until - monotonic()))

/** The kernel has no nftables for bridges. */
export const isWithoutBridge = (socket: NetlinkSocket): boolean =>
  setGet(socket, NFPROTO_INET, TABLE, WITHOUT_BRIDGE) !== undefined

/** Tables of another version are replaced in the transaction that makes the new ones, which have the old elements. */
function load(socket: NetlinkSocket, text: string, timeoutMs: Millis | undefined): void {
  const lines: string[] = []
  const kept: string[] = []
  for (const [name, family] of FAMILIES) {
    if (tableGet(socket, family, TABLE) !== undefined) {
      lines.push(`delete table ${name} ${TABLE}`)
      for (const set of KEPT[name])
        kept.push(...elementText(`${name} ${TABLE}`, set, elementsOf(socket, set, family)))
    }
    // `create` refuses a table that appeared meanwhile; rules must never be in it twice.
    lines.push(`create table ${name} ${TABLE}`)
  }
  try {
    loadSupported([...lines, text, ...kept].join('\n'), timeoutMs)
  } catch (err) {
    // A killed plugin leaves its nft running without the lock; the table that it loaded is as good as ours.
    if (setGet(socket, NFPROTO_INET, TABLE, VERSION_SET) === undefined) throw err
  }
}

function loadSupported(whole: string, timeoutMs: Millis | undefined): void {
  try {
    nftLoad(whole, timeoutMs)
  } catch (err) {
    if (!isUnsupported(err)) throw err
    nftLoad(withoutBridge(whole), timeoutMs)
  }
}

const FAMILIES = [
  ['inet', NFPROTO_INET],
  ['bridge', NFPROTO_BRIDGE],
] as const

function elementsOf(socket: NetlinkSocket, set: string, family: number = NFPROTO_INET): SetElement[] {
  if (setGet(socket, family, TABLE, set) === undefined) return []
  return setElemList(socket, family, TABLE, set)
}

/** What a mark of any version says: after a change of version the other networks' marks are still the old ones. */
function readMark(text: string | undefined): Marked | undefined {
  const [version, first = '', second = '', how, access] = (text ?? '').split(' ')
  const supernet = parsePrefix4(first)
  const slice = parsePrefix4(second)
  if (!/^v\d+$/.test(version ?? '') || supernet === undefined || slice === undefined) return undefined
  return { supernet, slice, masquerade: how === 'masq', hostAccess: access === 'host-access' }
}

/**
 * Puts the network's mark in, and makes the other sets what all marks together say: a configuration that was changed
 * leaves nothing of the old one behind. One transaction.
 */
function addNetwork(socket: NetlinkSocket, rules: NetworkRules): void {
  const key = ifnameKey(rules.bridge)
  const bridges = elementsOf(socket, 'bridges')
  const old = bridges.filter((element) => Buffer.compare(element.key, key) === 0)
  const others = bridges.flatMap((element) => {
    const mark = old.includes(element) ? undefined : readMark(element.comment)
    return mark === undefined ? [] : [{ ...mark, key: element.key }]
  })
  const all = [{ ...rules, key }, ...others]
  const supernets = all.map((n) => n.supernet)
  const masq = all.filter((n) => n.masquerade).map((n) => n.slice)
  const open = all.filter((n) => n.hostAccess).map((n) => n.key)
  // A packet of another host's container does not say of which network it is.
  const access = open.length === 0 ? [] : [...open, ...TUNNELS.map(ifnameKey)]
  try {
    nftTransaction(socket, [
      ...(old.length > 0 ? [setElemDelRequest(at('bridges', old))] : []),
      setElemAddRequest(at('bridges', [{ key, comment: networkMark(rules) }])),
      ...replaceRequests('supernets', prefixesElements(supernets)),
      ...replaceRequests('masq', prefixesElements(masq)),
      ...replaceRequests(
        'host_access',
        access.map((name) => ({ key: name })),
      ),
    ])
  } catch (cause) {
    throw new FlatnetError(
      'ERR_FLATNET_NFTABLES',
      `the network of bridge ${rules.bridge}, ${formatPrefix(rules.supernet)}, cannot be put into table inet ${TABLE}`,
      { cause },
    )
  }
}

/** An interval set takes no prefix twice, and none inside another. */
function prefixesElements(prefixes: readonly Prefix4[]): SetElement[] {
  const widest = prefixes.filter(
    (p, i) =>
      !prefixes.some(
        (q, j) =>
          i !== j &&
          contains(q, p.base) &&
          (q.prefixLen < p.prefixLen || (q.prefixLen === p.prefixLen && j < i)),
      ),
  )
  return widest.flatMap((p) => prefixElements(ipv4Bytes(p.base), p.prefixLen))
}

/** For `nftTransaction`: makes a set hold these elements and no others. */
export const replaceRequests = (set: string, wanted: readonly SetElement[]): Request[] => [
  // Not one by one: where one interval ends and the next begins, the kernel's own list is refused (ENOENT).
  setFlushRequest(NFPROTO_INET, TABLE, set),
  ...(wanted.length > 0 ? [setElemAddRequest(at(set, wanted))] : []),
]

const at = (set: string, elements: readonly SetElement[]) => ({
  family: NFPROTO_INET,
  table: TABLE,
  set,
  elements,
})
