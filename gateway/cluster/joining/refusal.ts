/** Why a newcomer, or a renewal, is turned away. */

type RefusalCode =
  | 'busy'
  | 'expired'
  | 'spent'
  | 'unknown'
  | 'request'
  | 'full'
  | 'taken'
  | 'revoked'
  | 'not-admitting'
  | 'protocol'

export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: RefusalCode
  constructor(code: RefusalCode, reason: string) {
    super(reason)
    this.code = code
  }
}
