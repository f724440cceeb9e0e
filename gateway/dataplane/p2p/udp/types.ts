/** What the UDP plane is to the process around it: options, peers, events and counters. */
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
   * A control datagram that opened and is no repetition. `payload` is valid until it returns. It may come from an address that is only a
   * candidate; answer there with `sendControl(…, { to: from })`.
   */
  onControl(peer: PlanePeer, type: number, payload: Uint8Array, from: Endpoint): void
  /** Data of this peer opened and came from another address than the peer's: the owner decides whether to follow. */
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
  /** The peer sealed something with keys that were given as `next`; they are in use for sending from now on. */
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
  /** Absent: nothing is sent but control datagrams with an address of their own. */
  readonly address?: Endpoint
  /** UDP payload of a full datagram. Default 1,232: fits IPv6's minimum MTU of 1,280. */
  readonly segmentBytes?: number
}

/** @public */
export interface SendControl {
  /** Another address than the peer's. */
  readonly to?: Endpoint
  /** UDP payload of the datagram in all: path MTU probes. Never shortens. */
  readonly padToBytes?: number
}

/**
 * Cumulative since `addPeer`. Bytes are those of packets, without headers of the plane.
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
  /** Datagrams of which acknowledgements have told: those that arrived, and those that did not. */
  txAcked: number
  /** Of these, the ones that did not arrive. */
  txLost: number
  /** Datagrams that did not open: forged, or sealed with keys that are gone. */
  rxForged: number
  rxReplayed: number
  /** Datagrams or control messages whose form is broken although they opened. */
  rxMalformed: number
  /** Packets that opened and were refused by the checks of the tunnel. */
  rxRefused: number
  /** Messages that were given up incomplete. */
  rxIncomplete: number
}

/** @public */
export interface PlaneCounters {
  /** Datagrams with an index that no peer has, or too short to have one. */
  unknownIndex: number
  malformed: number
  /** Packets from the device for an address of no peer. */
  noPeer: number
  /** Packets from the device that `checkOutgoing` refused. */
  notOurs: number
  /** Packets that the device did not take. */
  deviceRefused: number
  /** Packets written as single segments, since the device did not take them whole. */
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
   * Takes new keys, for a rekey or a new attempt. They open at once; what was in use opens for 10 s more.
   * @param when `now`: they seal at once (the peer has confirmed that it has them);
   *   `heard`: they seal once the peer has sealed something with them
   */
  replaceKeys(keys: PeerKeys, when: 'now' | 'heard'): void
}

/**
 * The packets of all UDP paths of this host. It has no timers and no promises: one blocking loop calls `step` until it
 * returns false, then polls `descriptors` for at most `waitMs` and for its own descriptors.
 * @public
 */
export interface UdpPlane {
  readonly counters: Readonly<PlaneCounters>
  /** @throws {FlatnetError} the host is there already, or its index meets that of another (2^-32): begin a new attempt */
  addPeer(peer: AddPeer): PlanePeer
  /** Forgets keys and address. Unknown is fine. */
  removePeer(hostId: number): void
  peer(hostId: number): PlanePeer | undefined
  /**
   * Seals and sends one control datagram.
   * @param type 1 to 255, the owner's to give meaning; 0 is the plane's own
   * @param payload at most 1,024 bytes
   * @returns 0, or the errno: EMSGSIZE (90), EHOSTUNREACH (113), EDESTADDRREQ (89) without an address
   */
  sendControl(peer: PlanePeer, type: number, payload: Uint8Array, options?: SendControl): number
  /** Carries what is there: from the device, then from the socket, both bounded. @returns whether anything was */
  step(): boolean
  /** To poll for reading. The device is not among them while a peer's credit is used up. */
  readonly descriptors: readonly number[]
  /** After this many ms `step` has work even if no descriptor is readable; undefined: none. */
  readonly waitMs: number | undefined
  /** Frees keys and memory; device and socket are closed by their owner. */
  close(): void
}
