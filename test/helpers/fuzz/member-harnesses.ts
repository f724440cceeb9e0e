/** Harnesses of what members, newcomers, neighbours on the link and clients of the API say beside frames and tables. */
import { deepStrictEqual } from 'node:assert/strict'
import { validateAssignment } from '../../../gateway/api/assignment-schema.ts'
import { newcomerOf } from '../../../gateway/cluster/joining/admission.ts'
import { Refusal } from '../../../gateway/cluster/joining/refusal.ts'
import { OfferError, parseOffer } from '../../../gateway/dataplane/p2p/offers.ts'
import { readAnswer, readRequest, writeAnswer, writeRequest } from '../../../gateway/gossip/http-message.ts'
import { decodeMessage, ProtocolError } from '../../../gateway/links/frames.ts'
import { encodeFrame, lengthIn, objectIn, StreamError } from '../../../gateway/links/streams/stream-frame.ts'
import { readMessage } from '../../../gateway/mdns/message.ts'
import { tableIn } from '../../../gateway/replication/table-files.ts'
import { json, taken } from './promises.ts'

const HEADER = 4

export const MEMBER_RUNS: Readonly<Record<string, (bytes: Buffer) => void>> = {
  'stream-head'(bytes) {
    const head = taken(() => {
      const length = lengthIn(bytes.subarray(0, HEADER))
      return length === undefined ? undefined : objectIn(bytes.subarray(HEADER, HEADER + length))
    }, StreamError)
    // JSON may be shorter than what it says, and longer where it has bytes that are no UTF-8.
    const frame = head === undefined ? undefined : taken(() => encodeFrame(head), StreamError)
    // As text: JSON has no Infinity, which 1e999 is read as.
    if (frame !== undefined)
      deepStrictEqual(JSON.stringify(objectIn(frame.subarray(HEADER))), JSON.stringify(head))
  },
  'join-request'(bytes) {
    const message = taken(() => decodeMessage(bytes), ProtocolError)
    const newcomer = message === undefined ? undefined : taken(() => newcomerOf(message), Refusal)
    if (newcomer !== undefined && !/^[\w.-]{0,63}$/.test(newcomer.name)) throw new Error(newcomer.name)
  },
  'p2p-offer'(bytes) {
    const message = taken(() => decodeMessage(bytes), ProtocolError)
    if (message !== undefined) taken(() => parseOffer(message), OfferError)
  },
  'table-file'(bytes) {
    const table = tableIn(json(bytes))
    if (table !== undefined) deepStrictEqual(tableIn({ format: 1, ...table }), table)
  },
  'api-assignment'(bytes) {
    const read = validateAssignment(json(bytes))
    if (read.ok) deepStrictEqual(validateAssignment(read.assignment), read)
  },
  'late-message'(bytes) {
    const request = readRequest(bytes)
    if (request !== undefined) deepStrictEqual(readRequest(writeRequest(request)), request)
    const answer = readAnswer(bytes)
    if (answer !== undefined) deepStrictEqual(readAnswer(writeAnswer(answer)), answer)
  },
  mdns(bytes) {
    readMessage(bytes)
  },
}
