/** Names some parts of one whole message. */

/** Bit n of `low` is part n, bit n of `high` is part 32 + n. */
export interface Parts {
  readonly number: number
  readonly low: number
  readonly high: number
}

export function hasPart({ low, high }: Pick<Parts, 'low' | 'high'>, part: number): boolean {
  return ((part < 32 ? low >>> part : high >>> (part - 32)) & 1) === 1
}
