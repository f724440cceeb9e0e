/** gateway/cluster/tokens: what a token's text holds and refuses, and the book that lets each be used once. */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { ClusterFiles } from '../../../../../gateway/cluster/identity/files.ts'
import { decodeToken, encodeToken, TokenBook } from '../../../../../gateway/cluster/joining/tokens.ts'
import { tokenSample as token } from '../../../../helpers/gateway/gateway-samples.ts'
import { scratchFolder } from '../../../../helpers/run/scratch.ts'

const text = encodeToken(token)
const T0 = 1_795_000_000_000
const TTL = 600_000

t.test('a token says all that a newcomer has to know', async (t) => {
  t.same(decodeToken(text), token)
  t.match(text, /^fnj_[\w-]+$/, 'one word for any shell, and known by sight')
  t.ok(text.length < 180, `${text.length} characters`)
})

t.test('a token that was damaged on the way is told from one that is wrong', async (t) => {
  t.throws(() => decodeToken(text.slice(0, -1)), /not complete/)
  t.throws(() => decodeToken(`${text.slice(0, 20)}A${text.slice(21)}`), /not complete/)
  t.throws(() => decodeToken('fnj_'), /not complete/)
  t.throws(() => decodeToken('hello'), /does not begin with fnj_/)
  fc.assert(
    fc.property(fc.nat(text.length - 5), fc.constantFrom('A', 'z', '7', '_'), (at, char) => {
      const changed = text.slice(0, at + 4) + char + text.slice(at + 5)
      if (changed === text) return true
      try {
        // The last character holds bits that are no part of the bytes.
        return JSON.stringify(decodeToken(changed)) === JSON.stringify(token)
      } catch {
        return true
      }
    }),
  )
})

const book = (t: Test): { book: TokenBook; files: ClusterFiles } => {
  const files = new ClusterFiles(scratchFolder(t))
  return { book: new TokenBook(files), files }
}

t.test('used once, and by the same key again when it did not hear the answer', async (t) => {
  const { book: tokens, files } = book(t)
  const { secret } = tokens.make(T0, TTL)
  const shown = tokens.show(secret, 'key a', T0 + 1)
  if (!shown.ok) throw new Error(shown.reason)
  tokens.spend(shown.record, 'key a', 2, T0 + 1)
  t.match(tokens.show(secret, 'key b', T0 + 2), { ok: false, code: 'spent', reason: /used at .* by host 2/ })
  t.match(tokens.show(secret, 'key a', T0 + 2), { ok: true, record: { spent: { hostId: 2 } } })
  t.match(new TokenBook(files).show(secret, 'key b', T0 + 2), { code: 'spent' }, 'also after a restart')
  t.match(
    tokens.show(secret, 'key a', T0 + 3_600_000),
    { ok: true },
    'the retry of one that crashed may be late',
  )
})

t.test('expired, unknown, forgotten', async (t) => {
  const { book: tokens } = book(t)
  const { secret, expiresAt } = tokens.make(T0, TTL)
  t.equal(expiresAt, T0 + TTL)
  t.ok(tokens.show(secret, 'k', expiresAt - 1).ok, 'good to the last ms')
  t.match(tokens.show(secret, 'k', expiresAt), { ok: false, code: 'expired' })
  t.match(tokens.show('00'.repeat(16), 'k', T0), { ok: false, code: 'unknown' })
  tokens.make(expiresAt + 25 * 3_600_000, TTL)
  t.match(
    tokens.show(secret, 'k', T0),
    { code: 'unknown' },
    'a day after its end it is gone, whatever the clock says',
  )
})

t.test('the book holds no secrets, is for root alone, and survives damage', async (t) => {
  const { book: tokens, files } = book(t)
  const { secret } = tokens.make(T0, TTL)
  t.notMatch(readFileSync(files.path('tokens'), 'utf8'), secret)
  t.equal(statSync(files.path('tokens')).mode & 0o777, 0o600)
  writeFileSync(files.path('tokens'), '[{"hash')
  t.match(new TokenBook(files).show(secret, 'k', T0), { code: 'unknown' }, 'a torn book knows none')
})

t.test('its size is bounded', async (t) => {
  const { book: tokens } = book(t)
  const first = tokens.make(T0, TTL)
  for (let n = 0; n < 256; n++) tokens.make(T0, TTL)
  t.equal(tokens.open, 256)
  t.match(tokens.show(first.secret, 'k', T0), { code: 'unknown' })
})
