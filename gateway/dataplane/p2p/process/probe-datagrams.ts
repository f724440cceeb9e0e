/** Sends the probes and answers of one path, and knows which answers are for it. */
import { Errno } from 'netlink-ts/errors.ts'
import type { PlanePeer, SendControl, UdpPlane } from '../udp/types.ts'
import {
  type Answer,
  ControlType,
  encodeAnswer,
  encodeProbe,
  type Probe,
  type ProbeKind,
} from './messages.ts'

/** @param errno what a send gave @returns whether the host has no way to the address */
export const isUnreachable = (errno: number): boolean =>
  errno === Errno.EHOSTUNREACH || errno === Errno.ENETUNREACH

interface ProbeDatagramsDeps {
  readonly plane: Pick<UdpPlane, 'sendControl'>
  readonly peer: PlanePeer
  randomToken(): number
}

export class ProbeDatagrams {
  readonly #deps: ProbeDatagramsDeps
  #token: number

  constructor(deps: ProbeDatagramsDeps) {
    this.#deps = deps
    this.#token = deps.randomToken()
  }

  /** Answers to earlier probes count no more. */
  renew(): void {
    this.#token = this.#deps.randomToken()
  }

  isOwn({ token }: Pick<Answer, 'token'>): boolean {
    return token === this.#token
  }

  /** @returns as `sendControl` */
  probe(kind: ProbeKind, seq: number, lossRate: number, options: SendControl): number {
    const { peer, plane } = this.#deps
    const probe = encodeProbe({ kind, token: this.#token, seq, lossRate })
    return plane.sendControl(peer, ControlType.probe, probe, options)
  }

  /**
   * @param lossRate of this host's own probes
   * @param ask number of an own probe that goes along
   * @returns as `sendControl`
   */
  answer(
    { kind, token, seq }: Probe,
    {
      lossRate,
      observed,
      ask,
    }: Pick<Answer, 'lossRate' | 'observed'> & { readonly ask?: number | undefined },
    options: SendControl,
  ): number {
    const { peer, plane } = this.#deps
    const { rxDatagrams, rxBytes } = peer.counters
    const question = ask === undefined ? undefined : { token: this.#token, seq: ask }
    const answer = encodeAnswer({ kind, token, seq, lossRate, observed, rxDatagrams, rxBytes, question })
    return plane.sendControl(peer, ControlType.answer, answer, options)
  }
}
