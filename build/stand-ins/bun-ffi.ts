/**
 * Stands in for `bun:ffi`: its native half, which the pinned Bun has.
 *
 * Without it the first call of a test fails.
 */

import type * as BunFfi from 'bun:ffi'

const { FFI } = (globalThis as unknown as { Bun: { FFI: typeof BunFfi } }).Bun

export const dlopen: typeof BunFfi.dlopen = FFI.dlopen
export const read: typeof BunFfi.read = FFI.read
