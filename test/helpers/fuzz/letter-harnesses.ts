/** Harnesses of letters about UDP paths: as a member hands them on, and what its host has sealed in them. */
import { deepStrictEqual } from 'node:assert/strict'
import { isObject } from '../../../core/json.ts'
import { silentLog } from '../../../core/log.ts'
import { CARRY } from '../../../gateway/dataplane/p2p/letters/forwarder.ts'
import { type Letter, readLetter, writeLetter } from '../../../gateway/dataplane/p2p/letters/letter.ts'
import { MemberSignalling } from '../../../gateway/dataplane/p2p/letters/member-signalling.ts'
import { OfferError, parseOffer } from '../../../gateway/dataplane/p2p/offers.ts'
import { decodeMessage, ProtocolError } from '../../../gateway/links/frames.ts'
import type { ControlMessage } from '../../../gateway/links/types.ts'
import { identityOf } from '../gateway/gossip-world.ts'
import { SimTime, seeded } from '../sim/network.ts'
import { taken } from './promises.ts'

const WALL = 1_795_000_000_000
/** Host 1 writes; 2 reads, and passes on to 4; 3 has links to all of them. */
const MEMBERS = [1, 2, 3, 4]
const [WRITER, READER, CARRIER, OTHER] = [1, 2, 3, 4] as const
const people = new Map(MEMBERS.map((hostId) => [hostId, identityOf(hostId)]))
const KEY_BYTES = 64
const MAX_CERTIFICATE_MS = Number.MAX_SAFE_INTEGER
const MAX_LETTER_BYTES = 8_192

interface Reader {
  readonly memberSignalling: MemberSignalling
  readonly time: SimTime
  readonly got: ControlMessage[]
  readonly sent: ControlMessage[]
}

/** Host 2, which calls host 1 by letters. */
function reader(): Reader {
  const time = new SimTime()
  const me = people.get(READER)!
  const [got, sent]: [ControlMessage[], ControlMessage[]] = [[], []]
  const memberSignalling = new MemberSignalling({
    hostId: READER,
    enabled: true,
    usesUdp: true,
    scheduler: time.scheduler(() => WALL),
    random: seeded(1),
    log: silentLog,
    identity: () => me.identity,
    validTo: () => WALL + 1_000_000,
    spkiOf: (id) => people.get(id)?.spki,
    members: () => MEMBERS.filter((id) => id !== READER),
    isConnected: (id) => id !== WRITER,
    linked: () => [CARRIER, OTHER],
    takesLetters: () => true,
    leadingTo: () => [CARRIER],
    send: (_, message) => sent.push(message) > 0,
    count() {},
  })
  memberSignalling.listen({ up() {}, down() {}, message: (_, message) => void got.push(message) })
  memberSignalling.start()
  time.run(1_000)
  return { memberSignalling, time, got, sent }
}

/** As host 1 would write and sign it. @returns undefined: no letter is as long */
function signed(to: number, content: unknown, seq = WALL, at = WALL): Letter | undefined {
  const { identity } = people.get(WRITER)!
  const toSpki = people.get(to)!.spki
  return taken(() => writeLetter(identity, { to, toSpki, seq, at }, content), RangeError)
}

/** What a gateway promises of its letters, whatever came. @throws {Error} it broke one */
function check({ memberSignalling, got, sent }: Reader): void {
  for (const { letter } of sent) {
    deepStrictEqual(readLetter(letter), letter)
    if (JSON.stringify(letter).length > MAX_LETTER_BYTES) throw new Error('a long letter was passed on')
  }
  const [rttMs, validTo] = [memberSignalling.rttMs(WRITER), memberSignalling.peerValidTo(WRITER)]
  if (rttMs !== undefined && !(rttMs >= 0 && rttMs <= 10_000)) throw new Error(`round trip ${rttMs} ms`)
  if (validTo !== undefined && !(Number.isInteger(validTo) && validTo > 0 && validTo <= MAX_CERTIFICATE_MS))
    throw new Error(`certificate until ${validTo}`)
  for (const message of got) taken(() => parseOffer(message), OfferError)
  const key = memberSignalling.exportKey(WRITER, KEY_BYTES, 'label', Buffer.from('1|2'))
  if (key !== undefined && key.length !== KEY_BYTES) throw new Error(`${key.length} bytes of key`)
}

export const LETTER_RUNS: Readonly<Record<string, (bytes: Buffer) => void>> = {
  letter(bytes) {
    const message = taken(() => decodeMessage(bytes), ProtocolError)
    if (message === undefined) return
    const made = reader()
    made.memberSignalling.receive(CARRIER, message)
    // With a good signature, so that what is behind it is reached.
    const letter = readLetter(message['letter'])
    for (const to of letter === undefined ? [] : [READER, OTHER]) {
      const again = signed(to, message['content'] ?? {}, letter?.seq, letter?.at)
      made.memberSignalling.receive(CARRIER, { ...message, type: CARRY, letter: again })
    }
    made.time.run(1_000)
    check(made)
  },
  'letter-offer'(bytes) {
    const content = taken(() => decodeMessage(bytes), ProtocolError)
    if (!isObject(content)) return
    const made = reader()
    for (const [i, sealed] of [content, { message: content }, { isCall: true, message: content }].entries()) {
      const letter = signed(READER, sealed, WALL + 1 + i)
      if (letter !== undefined) made.memberSignalling.receive(CARRIER, { type: CARRY, hops: 1, letter })
    }
    // An answer counts only for a try of this host.
    const { attempt, generation } = content as { attempt?: unknown; generation?: unknown }
    taken(() => made.memberSignalling.send(WRITER, { type: 'p2p.offer', attempt, generation }), RangeError)
    const letter = signed(READER, { message: content }, WALL + 9)
    if (letter !== undefined) made.memberSignalling.receive(CARRIER, { type: CARRY, hops: 1, letter })
    made.time.run(1_000)
    check(made)
  },
}
