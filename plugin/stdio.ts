/** Standard input and output of a plugin, whole and synchronous, for any kind of descriptor. */

import { readSync, writeSync } from 'node:fs'
import { sleepSync } from '../core/clock.ts'
import { FlatnetError } from '../core/errors.ts'

const STDIN = 0
const STDOUT = 1
const STDERR = 2
/** A configuration is a few KiB; prevResult and 65,535 port mappings fit many times over. */
const MAX_STDIN_BYTES = 16 * 1024 * 1024

/** @throws {FlatnetError} ERR_FLATNET_IO: stdin cannot be read, or is endless */
export function readStdin(): string {
  try {
    return readAll()
  } catch (cause) {
    throw new FlatnetError('ERR_FLATNET_IO', 'the network configuration cannot be read from stdin', { cause })
  }
}

function readAll(): string {
  const chunks: Buffer[] = []
  let size = 0
  for (;;) {
    const chunk = Buffer.allocUnsafe(65_536)
    const n = retried(() => readSync(STDIN, chunk))
    if (n === 0) break
    size += n
    if (size > MAX_STDIN_BYTES) throw new Error(`stdin holds more than ${MAX_STDIN_BYTES} bytes`)
    chunks.push(chunk.subarray(0, n))
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Writes it all: stdout may be a pipe that takes a part at a time. */
export const print = (text: string): void => writeLine(STDOUT, text)

/** On stderr, which a runtime passes on to a person. */
export const warn = (text: string): void => writeLine(STDERR, text)

function writeLine(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(`${text}\n`)
  for (let at = 0; at < bytes.length; ) at += retried(() => writeSync(fd, bytes, at))
}

/** A runtime may hand us non-blocking pipes: EAGAIN means wait, here 1 ms at a time and at most 10 s. */
function retried(call: () => number): number {
  for (let tries = 0; ; tries++) {
    try {
      return call()
    } catch (err) {
      const code = err instanceof Error && 'code' in err ? err.code : undefined
      if (code === 'EOF') return 0
      if (code !== 'EAGAIN' || tries >= 10_000) throw err
      sleepSync(1)
    }
  }
}
