/** What the Nebula that the gateway runs says of itself: complaints, and whether lighthouses answer. */

import type { NebulaConf } from '../../../conf/nebula.ts'
import { formatIpv4 } from '../../../core/addr.ts'
import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import { type Allowance, Bucket } from '../../base/bucket.ts'
import { printable } from '../../base/printable.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import { readLine, withAdvice } from './log-line.ts'
import { nebulaAddress } from './overlay.ts'

export interface LighthouseStatus {
  /** Inside Nebula. */
  readonly address: string
  /** `unknown`: Nebula has not tried it yet. */
  readonly state: 'answers' | 'silent' | 'unknown'
}

interface ReportsDeps {
  readonly scheduler: Scheduler
  readonly log: Log
  readonly hostId: number
  readonly nebula: Pick<NebulaConf, 'lighthouses' | 'network' | 'port'>
}

/** Of its lines in this gateway's log. */
const LINES: Allowance = { burst: 20, perSecond: 0.2 }
/** For how long a complaint is shown: handshakes that fail are repeated several times a minute. */
const RECENT_MS: Millis = 120_000
const MOST_TEXT = 300

export class NebulaReports {
  readonly #deps: ReportsDeps
  readonly #lines = new Bucket(LINES)
  readonly #lighthouses = new Map<string, LighthouseStatus['state']>()
  #complaint: { readonly text: string; readonly at: Millis } | undefined

  constructor(deps: ReportsDeps) {
    this.#deps = deps
    this.started()
  }

  /** Another process: what the last one said is over. */
  started(): void {
    this.#complaint = undefined
    const { hostId, nebula } = this.#deps
    const own = nebulaAddress(nebula.network, hostId)
    // A lighthouse asks no other.
    const asked = nebula.lighthouses.has(own) ? [] : nebula.lighthouses.keys()
    for (const ip of asked) this.#lighthouses.set(formatIpv4(ip), 'unknown')
  }

  /** The last complaint, with what to do where it is known; undefined: none of late. */
  get complaint(): string | undefined {
    const { scheduler } = this.#deps
    if (this.#complaint === undefined || scheduler.monotonic() - this.#complaint.at > RECENT_MS)
      return undefined
    return this.#complaint.text
  }

  get lighthouses(): LighthouseStatus[] {
    return [...this.#lighthouses].map(([address, state]) => ({ address, state }))
  }

  /** A line of its log. */
  said(line: string): void {
    const { log, nebula, scheduler } = this.#deps
    const read = readLine(line)
    if (read === undefined) return
    const text = printable(read.text).slice(0, MOST_TEXT)
    if (read.tunnel !== undefined) this.#tunnel(read.tunnel)
    if (!read.isComplaint) return
    const now = scheduler.monotonic()
    this.#complaint = { text: withAdvice(text, nebula.port), at: now }
    if (this.#lines.spend(1, now)) log.info({ reason: text }, 'nebula reported')
  }

  #tunnel({ address, state }: { readonly address: string; readonly state: 'up' | 'timed out' }): void {
    const before = this.#lighthouses.get(address)
    const after = state === 'up' ? 'answers' : 'silent'
    if (before === undefined || before === after) return
    this.#lighthouses.set(address, after)
    const { log } = this.#deps
    if (after === 'silent') log.warn({ endpoint: address }, 'lighthouse of nebula does not answer')
    else if (before === 'silent') log.info({ endpoint: address }, 'lighthouse of nebula answers again')
  }
}
