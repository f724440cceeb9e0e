/**
 * Stands in for `bun:ffi` in dist/flatnet-cni: the native half of it, on which Bun's module of that name is built. Loading
 * that module, and with it whatever else a first `require` sets up, takes half a millisecond. The pinned Bun has this property;
 * one without it ends at the first call, in the tests.
 */
import type * as BunFfi from 'bun:ffi'

const { FFI } = (globalThis as unknown as { Bun: { FFI: typeof BunFfi } }).Bun

export const dlopen: typeof BunFfi.dlopen = FFI.dlopen
export const read: typeof BunFfi.read = FFI.read
