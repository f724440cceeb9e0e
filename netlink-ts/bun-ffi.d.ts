/** The part of `bun:ffi` that libc.bun.ts uses: Bun's own types would claim every file's globals. */

declare module 'bun:ffi' {
  type Returns = { ptr: number; i32: number; i64_fast: number | bigint; void: undefined }
  type Args = { buffer: Uint8Array; i32: number; u32: number; u64: number }

  export type FfiSignatures = Readonly<
    Record<string, { readonly args: readonly (keyof Args)[]; readonly returns: keyof Returns }>
  >
  export type FfiFunctions<S extends FfiSignatures> = {
    readonly [N in keyof S]: (
      ...args: { -readonly [I in keyof S[N]['args']]: Args[S[N]['args'][I]] }
    ) => Returns[S[N]['returns']]
  }

  /** @throws when the library or one of the symbols is missing */
  export function dlopen<const S extends FfiSignatures>(
    library: string,
    symbols: S,
  ): { readonly symbols: FfiFunctions<S> }

  export const read: { i32(pointer: number, offset: number): number }
}
