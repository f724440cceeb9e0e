/**
 * Prints netlink messages on stderr: `NETLINK_DEBUG=1` one line each, `NETLINK_DEBUG=2` with their payload in hex.
 * When it is off, it costs a socket the test of one constant. Modelled on NLDEBUG in mdlayher/netlink (debug.go).
 */

import { errnoName } from './errors.ts'
import { write } from './libc.ts'
import { NLMSG_DONE, NLMSG_ERROR, type Reply, type Request, verdictOf } from './message.ts'

const STDERR = 2
/** How much of a payload is printed, so that a set with thousands of elements stays readable. */
const MAX_HEX_BYTES = 256

export interface Debugger {
  /** @param seq of the first request; the others count on from it */
  sent(port: number, requests: readonly Request[], seq: number, flags: number): void
  received(port: number, reply: Reply): void
}

/**
 * @param level value of the environment variable; anything but `1` and `2` means off
 * @param print takes one line without its end
 */
export function debuggerOf(level: string | undefined, print: (line: string) => void): Debugger | undefined {
  if (level !== '1' && level !== '2') return undefined
  const payloadOf = (payload: Uint8Array) => (level === '2' && payload.length > 0 ? ` ${hexOf(payload)}` : '')
  return {
    sent(port, requests, first, flags) {
      for (const [i, { op, type, flags: own, payload }] of requests.entries()) {
        const head = `type ${type}, flags 0x${(own | flags).toString(16)}, ${payload.length} bytes`
        print(`netlink ${port} -> #${first + i} ${op} (${head})${payloadOf(payload)}`)
      }
    },
    received(port, reply) {
      print(`netlink ${port} <- #${reply.header.seq} ${summary(reply)}${payloadOf(reply.payload)}`)
    },
  }
}

function summary(reply: Reply): string {
  const { type, flags } = reply.header
  if (type !== NLMSG_ERROR && type !== NLMSG_DONE)
    return `type ${type}, flags 0x${flags.toString(16)}, ${reply.payload.length} bytes`
  const refusal = verdictOf(reply, '')
  if (refusal === undefined) return type === NLMSG_DONE ? 'end of dump' : 'ok'
  const words = refusal.kernelMessage === undefined ? '' : `: ${refusal.kernelMessage}`
  return `${errnoName(refusal.errno)}${words}`
}

function hexOf(payload: Uint8Array): string {
  const rest = payload.length - MAX_HEX_BYTES
  return payload.subarray(0, MAX_HEX_BYTES).toHex() + (rest > 0 ? ` and ${rest} bytes more` : '')
}

/** This process's; undefined when it is off. */
export const debug = debuggerOf(process.env['NETLINK_DEBUG'], (line) => {
  write(STDERR, new TextEncoder().encode(`${line}\n`))
})
