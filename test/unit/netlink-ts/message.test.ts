/** Building, splitting and the verdict of error messages. */
import { NetlinkError } from 'netlink-ts/errors.ts'
import { buildMessages, type Reply, splitMessages, verdictOf } from 'netlink-ts/message.ts'
import t from 'tap'
import { hex } from '../../helpers/kernel/netlink-hex.ts'

const request = (op: string, payload: Uint8Array) => ({ op, type: 16, flags: 0x600, payload })

t.test('requests stand one after the other, aligned and numbered', async (t) => {
  const built = buildMessages([request('a', hex('01')), request('b', hex('02030405'))], 7, 99, 5)
  t.equal(
    built.toHex(),
    hex(`
      11000000 1000 0506 07000000 63000000  01 000000
      14000000 1000 0506 08000000 63000000  02030405`).toHex(),
  )
  t.strictSame(
    splitMessages(built).map((m) => [m.header.length, m.header.seq, m.payload.toHex()]),
    [
      [17, 7, '01'],
      [20, 8, '02030405'],
    ],
  )
  t.equal(buildMessages([], 1, 1, 1).length, 0)
})

t.test('a datagram that does not add up is refused as a whole', async (t) => {
  const header = '1000 0000 07000000 63000000'
  t.throws(
    () => splitMessages(hex(`0f000000 ${header}`)),
    { code: 'ERR_DECODE', attribute: 'length' },
    'shorter than its header',
  )
  t.throws(
    () => splitMessages(hex(`14000000 ${header} 000000`)),
    { name: /Error$/, attribute: 'length' },
    'longer than the datagram',
  )
  t.throws(() => splitMessages(hex(`10000000 ${header} 00000000`)), { name: /Error$/, offset: 16 }, 'a rest')
  t.same(splitMessages(hex('')), [])
})

const reply = (type: number, flags: number, payload: string): Reply => {
  const body = hex(payload)
  return { header: { length: 16 + body.length, type, flags, seq: 1, pid: 1 }, payload: body }
}
const REQUEST = '20000000 1800 0506 01000000 01000000'
const TLVS = '0a00 0100 4e6f7065 2100 0000  0800 0200 1c000000'

t.test('verdicts', async (t) => {
  t.equal(verdictOf(reply(2, 0x100, `00000000 ${REQUEST}`), 'op'), undefined, 'errno 0 is an acknowledgement')
  t.equal(verdictOf(reply(3, 2, '00000000'), 'op'), undefined, 'the end of a dump')
  t.equal(verdictOf(reply(3, 2, ''), 'op'), undefined, 'the end of a dump without errno')

  const bare = verdictOf(reply(2, 0x100, `efffffff ${REQUEST}`), 'RTM_NEWLINK br0')
  t.ok(bare instanceof NetlinkError)
  t.match(bare, { op: 'RTM_NEWLINK br0', errno: 17, errnoName: 'EEXIST', message: 'RTM_NEWLINK br0: EEXIST' })
  t.equal(bare?.kernelMessage, undefined)

  const told = { errno: 22, kernelMessage: 'Nope!', offset: 28, message: 'x: EINVAL: Nope!' }
  t.match(
    verdictOf(reply(2, 0x300, `eaffffff ${REQUEST} ${TLVS}`), 'x'),
    told,
    'behind the header of the request',
  )
  const copied = `eaffffff ${REQUEST} 00000000 00000000 00000000 00000000 ${TLVS}`
  t.match(verdictOf(reply(2, 0x200, copied), 'x'), told, 'behind a copy of the whole request')
  t.match(verdictOf(reply(3, 0x202, `eaffffff ${TLVS}`), 'x'), told, 'behind the errno at the end of a dump')

  t.throws(() => verdictOf(reply(2, 0, '0000'), 'x'), { code: 'ERR_DECODE' }, 'no errno')
  t.throws(() => verdictOf(reply(2, 0x300, 'eaffffff 00'), 'x'), { code: 'ERR_DECODE' }, 'no request')
  t.throws(
    () => verdictOf(reply(2, 0x200, `eaffffff ${REQUEST}`), 'x'),
    { code: 'ERR_DECODE' },
    'a request that is not there',
  )
})
