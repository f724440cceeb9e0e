/** What a UDP plane is made of: memory, cipher, socket, device and clock. */
import type { Arena } from '../../../../kernel/arena.ts'
import type { PacketPort } from '../../../../kernel/tun-port.ts'
import type { DatagramPort } from '../../../../kernel/udp-socket.ts'
import type { Aead } from './crypto/aead.ts'
import type { PlaneEvents, PlaneHost } from './types.ts'

/** Memory of a plane with its socket. It takes 10.2 MB; unused slots of reassembly have no pages behind them. */
export const PLANE_MEMORY = 12 << 20

export interface PlaneOptions extends PlaneHost, PlaneEvents {
  /** Of `PLANE_MEMORY`, which includes what the socket and the AEAD take. */
  readonly arena: Arena
  readonly aead: Aead
  readonly udp: DatagramPort
  readonly tun: PacketPort
  /** Monotonic, ms. */
  readonly now: () => number
  /** Waits 0.1 ms while packets gather; a test need not. */
  readonly pause?: () => void
}
