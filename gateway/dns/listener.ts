/** What a listener for DNS on one bridge address needs and offers; UDP and TCP have one each. */

import type { Millis } from '../../core/clock.ts'
import type { Asked } from './resolver.ts'

export interface DnsListener {
  /** The kernel's choice where 0 was asked for. */
  readonly port: number
  /** From here on the next run answers; what was asked before is answered as it was. */
  handOver(to: DnsListenerUser): void
  close(): Promise<void>
}

/** `unsent`: the kernel refused the answer. */
export type Dropped = 'stranger' | 'flood' | 'unsent'

/** What a run of the gateway does with what comes in. */
export interface DnsListenerUser {
  /** Whether that address is of the network that this listener is for. */
  isClient(address: string): boolean
  resolve(asked: Omit<Asked, 'servers'>, reply: (bytes: Buffer) => void): void
  /** Monotonic. */
  now(): Millis
  dropped(why: Dropped): void
  failed(err: Error): void
}

export interface DnsListenerDeps extends DnsListenerUser {
  readonly address: string
  readonly port: number
}
