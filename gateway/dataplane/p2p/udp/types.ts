/** What the UDP plane offers the process around it: options, peers, events and counters. */
import type { Prefix4 } from '../../../../core/addr.ts'
import type { PeerKeys } from './crypto/key-schedule.ts'

/**
 * `192.0.2.1:7443`, `[2001:db8::1]:7443` or `[fe80::1%3]:7443` with the index of the interface.
 * @public
 */
export type Endpoint = string

/** How packets are sealed: one AEAD per super-packet, or one per datagram. */
export type Form = 'whole' | 'record'

/** @public */
export interface PlaneEvents {
  /**
   * A control datagram opened, and is no repetition. `payload` is valid until this returns. `from` may be an address
   * that is only a candidate: answer there with `sendControl(…, { to: from })`.
   */
  onControl(peer: PlanePeer, type: number, payload: Uint8Array, from: Endpoint): void
  /** Data of this peer opened that came from a new address: the owner decides whether to send there. */
  onRoamed?(peer: PlanePeer, from: Endpoint): void
  /**
   * The kernel refused a send to this peer. At most once per errno and `step`.
   * EMSGSIZE: the segment size is above the interface's MTU; EHOSTUNREACH, ENETUNREACH: no way there.
   */
  onSendError?(peer: PlanePeer, errno: number): void
  /** The form changed. `reason` is one of flow/form.ts. */
  onForm?(peer: PlanePeer, form: Form, reason: string): void
  /** The device cannot be read: EBADFD (77) when it was deleted, EIO while it is down. At most once per `step`. */
  onDeviceError?(errno: number): void
  /** A STUN message, which is for no peer. */
  onPlain?(bytes: Uint8Array, from: Endpoint): void
  /** The peer sealed something with the keys given by `replaceKeys`: this host seals with them from now on. */
  onKeysConfirmed?(peer: PlanePeer): void
}

/** @public */
export interface PlaneHost {
  readonly hostId: number
  readonly supernet: Prefix4
  readonly hostPrefix: number
}

/** @public */
export interface AddPeer {
  readonly hostId: number
  readonly keys: PeerKeys
  /** Absent: only control datagrams with an address of their own are sent. */
  readonly address?: Endpoint
  /** UDP payload of a full datagram. Default 1,232: fits IPv6's minimum MTU of 1,280. */
  readonly segmentBytes?: number
}

/** @public */
export interface SendControl {
  /** Another address than the peer's. */
  readonly to?: Endpoint
  /** The least UDP payload, for path MTU probes. Never shortens a datagram. */
  readonly padToBytes?: number
}

/**
 * Totals since `addPeer`. Bytes count packets without the plane's headers.
 * @public
 */
export interface PeerCounters {
  txPackets: number
  txBytes: number
  txDatagrams: number
  rxPackets: number
  rxBytes: number
  rxDatagrams: number
  /** Packets for this peer that could not be sent: no address, over credit, too long, or refused by the kernel. */
  txDropped: number
  /** Datagrams that acknowledgements account for, arrived or not. */
  txAcked: number
  /** Of these, the ones that did not arrive. */
  txLost: number
  /** Datagrams sent again because the peer asked for them; `txDatagrams` does not count them. */
  txResent: number
  /** Datagrams that did not open: forged, or sealed with keys that are gone. */
  rxForged: number
  rxReplayed: number
  /** Malformed datagrams or control messages, although they opened. */
  rxMalformed: number
  /** Packets that opened, and that the tunnel's checks refused. */
  rxRefused: number
  /** Messages that stayed incomplete. */
  rxIncomplete: number
}

/** @public */
export interface PlaneCounters {
  /** Datagrams with an unknown index, or too short for one. */
  unknownIndex: number
  malformed: number
  /** Packets from the device to an address that no peer has. */
  noPeer: number
  /** Packets from the device that `checkOutgoing` refused. */
  notOurs: number
  /** Packets that the device refused. */
  deviceRefused: number
  /** Packets written segment by segment, because the device refused them in one piece. */
  segmented: number
}

/** @public */
export interface PlanePeer {
  readonly hostId: number
  readonly counters: Readonly<PeerCounters>
  readonly form: Form
  readonly address: Endpoint | undefined
  readonly segmentBytes: number
  /** Least round trip of data and its acknowledgement in the last second or two, ms; undefined before the first. */
  readonly rttMs: number | undefined
  setAddress(address: Endpoint | undefined): void
  /** UDP payload of a full datagram. @throws {RangeError} below 1,100 or above 9,000 */
  setSegmentBytes(bytes: number): void
  /** Fixes the form; undefined lets measured loss, round trip and rate decide again. */
  setForm(form: Form | undefined): void
  /**
   * Sets new keys, for a rekey or a new attempt. They open at once; the old ones open for 10 s more.
   * @param when `now`: they seal at once (the peer has confirmed that it has them);
   *   `heard`: they seal once the peer has sealed something with them
   */
  replaceKeys(keys: PeerKeys, when: 'now' | 'heard'): void
}

/**
 * Carries the packets of all UDP paths of this host, without timers and promises: one blocking loop calls `step` while
 * `mayHaveMore`, then polls the socket, the device while `readsDevice`, and its own descriptors, for `waitMs` at most.
 * @public
 */
export interface UdpPlane {
  readonly counters: Readonly<PlaneCounters>
  /**
   * @throws {FlatnetError} the plane has this host, or another peer has its index (once in 2^32): begin a new attempt
   */
  addPeer(peer: AddPeer): PlanePeer
  /** Forgets keys and address. Does nothing for an unknown host. */
  removePeer(hostId: number): void
  peer(hostId: number): PlanePeer | undefined
  /**
   * Seals and sends one control datagram.
   * @param type 1 to 255, with a meaning that the owner gives; 0 is the plane's own
   * @param payload at most 1,024 bytes
   * @returns 0, or the errno: EMSGSIZE (90), EHOSTUNREACH (113), EDESTADDRREQ (89) without an address
   */
  sendControl(peer: PlanePeer, type: number, payload: Uint8Array, options?: SendControl): number
  /**
   * Carries packets from the socket, then from the device, a bounded amount of each. In this order, since what is
   * delivered is often answered at once.
   * @param readsSocket false: poll(2) found nothing there, so a call is spared
   * @param readsDevice the same of the device, which is read in any case after packets were received
   * @returns false: there were none
   */
  step(readsSocket?: boolean, readsDevice?: boolean): boolean
  /**
   * Whether to call `step` again at once. Not after packets were only sent, nor after a single datagram or control
   * datagrams alone: device and socket are empty. During bulk a read finds the next packet for less than poll(2).
   */
  readonly mayHaveMore: boolean
  /** Peers whose packets or acknowledgements passed since the last call. */
  takeNews(): readonly PlanePeer[]
  /** Whether packets may be read: false while bulk waits for credit and there is no room for more. */
  readonly readsDevice: boolean
  /** A peer's credit is used up, and after this many ms `step` has work anyway. */
  readonly waitMs: number | undefined
  /** Packets wait for a missing one before them: after this many ms `step` gives it up. */
  readonly holdMs: number | undefined
  /** Frees keys and memory; device and socket are closed by their owner. */
  close(): void
}
