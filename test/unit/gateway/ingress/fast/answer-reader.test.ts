/** Answers and chunked bodies, cut anywhere: equal results, and malformed ones are refused. */

import fc from 'fast-check'
import t from 'tap'
import { AnswerReader } from '../../../../../gateway/ingress/fast/answer-reader.ts'
import { ChunkError } from '../../../../../gateway/ingress/fast/chunks.ts'
import { AnswerError, type ResponseHead } from '../../../../../gateway/ingress/fast/response-head.ts'
import { headerLines } from '../../../../../gateway/ingress/headers.ts'

interface Read {
  readonly out: string
  readonly heads: number[]
  readonly isDone: boolean
  readonly isEnd: boolean
  readonly used: number
}

/** Each part in one buffer that is overwritten afterwards, as a connection's is. */
function read(parts: readonly string[], isHead = false, end = false): Read {
  let out = ''
  const heads: number[] = []
  const reader = new AnswerReader(
    {
      early: (h: ResponseHead) => heads.push(h.status),
      head: (h: ResponseHead) => heads.push(h.status),
      body(bytes, from, to) {
        out += bytes.toString('latin1', from, to)
      },
      text(framing) {
        out += framing
      },
      trailers: (raw) => headerLines(raw.map((x, i) => (i % 2 === 0 ? x.toUpperCase() : x))),
    },
    isHead,
    1000,
  )
  const shared = Buffer.alloc(100_000)
  let used = 0
  for (const part of parts) {
    if (reader.isDone) break
    const length = shared.write(part, 'latin1')
    used += reader.read(shared.subarray(0, length))
    shared.fill('?')
  }
  const isEnd = end && reader.finish()
  return { out, heads, isEnd, isDone: reader.isDone, used }
}

const HEAD = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'

const answers: readonly [name: string, bytes: string, out: string][] = [
  ['a length', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', 'hello'],
  ['no body', 'HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n', ''],
  ['length 0', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', ''],
  ['1xx before', 'HTTP/1.1 103 E\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx', 'x'],
  [
    'chunks as they are',
    `${HEAD}5\r\nhello\r\n00a\r\n0123456789\r\n0\r\n\r\n`,
    '5\r\nhello\r\n00a\r\n0123456789\r\n0\r\n\r\n',
  ],
  ['chunks with extensions', `${HEAD}5;a=b;"c"\r\nhello\r\n0;x\r\n\r\n`, '5\r\nhello\r\n0\r\n\r\n'],
  ['trailers', `${HEAD}1\r\nx\r\n000\r\na: 1\r\nb: 2\r\n\r\n`, '1\r\nx\r\n0\r\nA: 1\r\nB: 2\r\n\r\n'],
  ['a head with LF alone', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok', 'ok'],
  ['a head with LF in one line', 'HTTP/1.1 200 OK\r\nA: 1\nContent-Length: 2\r\n\r\nok', 'ok'],
  ['a head whose empty line is LF', 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\nok\r\n\r\n', 'ok\r\n\r\n'],
  [
    'chunk lines with LF alone',
    `${HEAD}5\nhello\n2\r\nok\n1\nx\r\n0\nA: 1\nB: 2\n\n`,
    '5\r\nhello\r\n2\r\nok\r\n1\r\nx\r\n0\r\nA: 1\r\nB: 2\r\n\r\n',
  ],
  ['the last chunk with LF alone', `${HEAD}0\n\n`, '0\r\n\r\n'],
  [
    'sizes with blanks behind',
    `${HEAD}2  \r\nok\r\n1\t ;a\r\nx\r\n0 \r\n\r\n`,
    '2\r\nok\r\n1\r\nx\r\n0\r\n\r\n',
  ],
  [
    'sizes with zeros in front',
    `${HEAD}0000000000000002\r\nok\r\n${'0'.repeat(99)}\r\n\r\n`,
    '2\r\nok\r\n0\r\n\r\n',
  ],
]
const canonical = (out: string): string => out.replaceAll(/(^|\r\n)0+(?=[1-9a-f])/g, '$1')

for (const [name, bytes, out] of answers) {
  t.test(`${name}, cut anywhere`, async (t) => {
    const rest = 'HTTP/1.1 200 next'
    for (let cut = 0; cut <= bytes.length; cut++) {
      const got = read([bytes.slice(0, cut), bytes.slice(cut) + rest])
      if (canonical(got.out) !== canonical(out) || !got.isDone || got.used !== bytes.length)
        t.fail(`cut at ${cut}: ${JSON.stringify(got)}`)
    }
    const single = read([...bytes])
    t.equal(canonical(single.out), canonical(out), 'byte by byte')
    t.ok(single.isDone)
    const cut = read([bytes.slice(0, -1)], false, true)
    t.notOk(cut.isDone || cut.isEnd, 'one byte less is no end')
  })
}

t.test('HEAD: no body, even if the framing announces one', async (t) => {
  t.match(read(['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx'], true), { out: '', isDone: true, used: 38 })
  t.match(read([HEAD], true), { isDone: true })
})

t.test('without framing the end of the connection is the end, and chunks are made', async (t) => {
  const got = read(['HTTP/1.1 200 OK\r\n\r\nhel', 'lo'], false, true)
  t.match(got, { out: '3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n', isEnd: true, isDone: true })
})

const bad: readonly [name: string, bytes: string, error: new (...args: never[]) => Error][] = [
  ['no HTTP', 'SSH-2.0-x\r\n', AnswerError],
  ['an endless head', `HTTP/1.1 200 OK\r\nX: ${'a'.repeat(2000)}`, AnswerError],
  ['a 101', 'HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n', AnswerError],
  ['no size', `${HEAD}\r\n`, ChunkError],
  ['a size with a sign', `${HEAD}+5\r\nhello`, ChunkError],
  ['a size with 0x', `${HEAD}0x5\r\nhello`, ChunkError],
  ['a size beyond all numbers', `${HEAD}${'f'.repeat(13)}\r\n`, ChunkError],
  ['a blank in front of the size', `${HEAD} 5\r\nhello`, ChunkError],
  ['a blank in the size', `${HEAD}5 5\r\nhello`, ChunkError],
  ['a size line that ends in CR', `${HEAD}5\rhello\r\n`, ChunkError],
  ['no CRLF behind a chunk', `${HEAD}5\r\nhello5\r\nhello`, ChunkError],
  ['CR alone behind a chunk', `${HEAD}5\r\nhello\r5\r\nhello`, ChunkError],
  ['two CRs behind a chunk', `${HEAD}5\r\nhello\r\r\n5\r\nhello`, ChunkError],
  ['an endless extension', `${HEAD}5;${'a'.repeat(5000)}`, ChunkError],
  ['endless trailers', `${HEAD}0\r\nA: ${'a'.repeat(20_000)}`, ChunkError],
  ['malformed trailers', `${HEAD}0\r\nA : 1\r\n\r\n`, ChunkError],
]
for (const [name, bytes, error] of bad) {
  t.test(`refused: ${name}`, async (t) => {
    t.throws(() => read([bytes]), error)
    t.throws(() => read([...bytes]), error, 'byte by byte')
  })
}

t.test('chunks of any size, cut anywhere, hold what was put in', async (t) => {
  const chunk = fc.tuple(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 40 }), fc.boolean())
  const property = fc.property(fc.array(chunk), fc.array(fc.nat(400)), (chunks, cuts) => {
    const sizes = chunks.map(
      ([text, hasExt]) => `${text.length.toString(16)}${hasExt ? ';e=1' : ''}\r\n${text}\r\n`,
    )
    const bytes = `${HEAD}${sizes.join('')}0\r\n\r\n`
    const places = [0, ...cuts.map((c) => Math.min(c, bytes.length)).sort((a, b) => a - b), bytes.length]
    const got = read(places.slice(1).map((to, i) => bytes.slice(places[i], to)))
    const plain = chunks.map(([text]) => `${text.length.toString(16)}\r\n${text}\r\n`).join('')
    return got.isDone && got.out === `${plain}0\r\n\r\n`
  })
  fc.assert(property, { numRuns: 1000 })
  t.pass()
})

t.test('a head ends at the same place in whatever pieces it comes', async (t) => {
  const head = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\n'
  const whole = `${head}\r\nabc`
  const reference = read([whole])
  t.equal(reference.isDone, true)
  for (let at = 1; at < whole.length; at++)
    t.same(read([whole.slice(0, at), whole.slice(at)]), reference, `cut at ${at}`)
})
