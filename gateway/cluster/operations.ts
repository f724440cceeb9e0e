/** What an operator does with the cluster from this host: tokens, revoking a host, leaving. */

import type { DaemonConf } from '../../conf/daemon.ts'
import type { Millis } from '../../core/clock.ts'
import { FlatnetError } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { Links } from '../links/links.ts'
import type { Admission } from './joining/admission.ts'
import { fingerprintOfCa } from './joining/joining.ts'
import { encodeToken, type Grant, type TokenBook } from './joining/tokens.ts'
import { type MemberRecord, memberOf } from './members/document.ts'
import type { ClusterState } from './members/state.ts'

export interface OperationsDeps {
  readonly conf: DaemonConf
  readonly state: ClusterState
  readonly links: Links
  readonly tokens: TokenBook
  readonly admission: Admission
  readonly scheduler: Scheduler
  readonly log: Log
  isQuarantined(hostId: number): boolean
}

/** A host that leaves waits so long for the list that says so. */
const LEAVE_MS: Millis = 5_000

export class ClusterOperations {
  readonly #deps: OperationsDeps

  constructor(deps: OperationsDeps) {
    this.#deps = deps
  }

  /** @throws {FlatnetError} this host cannot admit, or not what is asked for */
  makeToken(ttlMs: Millis, grant: Grant): { token: string; expiresAt: Millis } {
    const { admission, conf, scheduler, state, tokens } = this.#deps
    state.demandCaKey()
    const refusal = admission.refusalOfGrant(grant)
    if (refusal !== undefined) throw new FlatnetError('ERR_FLATNET_CONFIG', refusal)
    const own = memberOf(state.document, state.identity.hostId)
    const { secret, expiresAt } = tokens.make(scheduler.now(), ttlMs, grant)
    const token = encodeToken({
      caFingerprint: fingerprintOfCa(state.identity.caPem),
      secret,
      hostId: state.identity.hostId,
      supernet: conf.supernet,
      hostPrefix: conf.hostPrefix,
      expiresAt,
      addresses: own === undefined ? [] : state.endpointsOf(own),
    })
    return { token, expiresAt }
  }

  /** @throws {FlatnetError} no such member, or this host cannot */
  revoke(hostId: number): MemberRecord {
    const { state } = this.#deps
    state.demandCaKey()
    const member = memberOf(state.document, hostId)
    if (member === undefined)
      throw new FlatnetError(
        'ERR_FLATNET_CONFIG',
        `there is no host ${hostId} in this cluster: flatnet hosts lists them`,
      )
    if (hostId === state.identity.hostId) {
      throw new FlatnetError(
        'ERR_FLATNET_CONFIG',
        `host ${hostId} is this one, which admits others: it cannot revoke itself`,
      )
    }
    return this.#mark(member, 'revoked')
  }

  /**
   * Asks the admitting host to list this one as gone; resolves when the list says so.
   * @throws {FlatnetError} no admitting host was reached in time
   */
  async leave(): Promise<void> {
    const { links, scheduler, state } = this.#deps
    const own = memberOf(state.document, state.identity.hostId)
    if (own === undefined || own.state !== 'active') return
    if (own.admits) {
      throw new FlatnetError(
        'ERR_FLATNET_CONFIG',
        'this host admits the others; without it none can join or be revoked. If that is meant: flatnet leave --force',
      )
    }
    const asked = state.document.members.filter(
      (m) => m.admits && m.state === 'active' && links.send(m.hostId, { type: 'cluster.leave' }),
    )
    const admitting = state.document.members.filter((m) => m.admits).map((m) => m.hostId)
    if (asked.length === 0) throw notReached(admitting)
    await new Promise<void>((resolve, reject) => {
      const cancel = scheduler.after(LEAVE_MS, () => reject(notReached(admitting)))
      state.onChange(() => {
        if (state.removedWhy === undefined) return
        cancel()
        resolve()
      })
    })
  }

  /** `cluster.leave`: a peer asks this host, which keeps the list of members, to list it as gone. */
  onLeave(hostId: number): void {
    const { isQuarantined, log, state } = this.#deps
    const member = memberOf(state.document, hostId)
    if (member === undefined || state.caKeyPem === undefined) return
    if (isQuarantined(hostId)) log.warn({ peer: hostId }, 'leave of a host that is kept out was ignored')
    else this.#mark(member, 'left')
  }

  #mark(member: MemberRecord, to: 'left' | 'revoked'): MemberRecord {
    const { log, scheduler, state } = this.#deps
    if (member.state === to || member.state === 'revoked') return member
    const record = { ...member, state: to, changedAt: new Date(scheduler.now()).toISOString() }
    state.change(record)
    log.warn({ peer: member.hostId, reason: to }, 'host is no member any more')
    return record
  }
}

const notReached = (admitting: readonly number[]): FlatnetError =>
  new FlatnetError(
    'ERR_FLATNET_IO',
    `host ${admitting.join(' or ')}, which keeps the list of members, was not reached: ` +
      'try again later, or leave with --force and revoke this host there',
  )
