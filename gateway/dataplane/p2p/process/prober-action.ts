/** What a prober wants done. */

/** `small` has no padding, `base` fills 1,280 bytes, `full` the assumed path MTU. */
export type ProbeSize = 'small' | 'base' | 'full'

export interface OwnProbe {
  readonly do: 'send'
  readonly seq: number
  readonly size: ProbeSize
}

export type ProberAction =
  | OwnProbe
  | { readonly do: 'report'; readonly what: 'proven' | 'suspect' | 'cleared' | 'extended' | 'lost' }
  /** Small datagrams arrive, full-size ones do not. `isBaseLost`: nor do those of 1,280 bytes. */
  | { readonly do: 'blackHole'; readonly isBaseLost: boolean }
