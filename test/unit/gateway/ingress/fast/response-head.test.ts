/** Answers of containers: what the reader understands, and what it refuses by which rule. */

import t from 'tap'
import { AnswerError, readResponse } from '../../../../../gateway/ingress/fast/response-head.ts'

const read = (lines: string) => readResponse(`${lines}\r\n`)

t.test('status line, fields and framing of an answer', async (t) => {
  t.match(read('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: x'), {
    ...{ status: 200, message: 'OK', framing: 'length', length: 5 },
    ...{ keepsAlive: true, isEvents: false, hasDate: true },
  })
  t.match(read('HTTP/1.1 200'), { message: '', framing: 'close', length: 0, hasDate: false })
  t.match(read('HTTP/1.0 200 OK\r\nContent-Length: 5'), { keepsAlive: false })
  t.match(read('HTTP/1.1 200 OK\r\nConnection: x, Close'), { keepsAlive: false, passed: undefined })
  t.match(read('HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked'), { framing: 'chunked', passed: '' })
  t.match(read('HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream;a'), { isEvents: true })
  t.match(read('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=9'), { keepAliveS: 5, passed: '' })
})

const refused: readonly [rule: string, ...answers: string[]][] = [
  ['the version is 1.0 or 1.1', 'HTTP/2 200 OK', 'HTTP/1.2 200 OK', 'SSH-2.0-OpenSSH'],
  ['a status has three digits and begins with 1 to 9', 'HTTP/1.1 099 OK', 'HTTP/1.1 20 OK'],
  ['a reason phrase has no NUL and no CR', 'HTTP/1.1 200 O\0K', 'HTTP/1.1 200 O\rK'],
  ['control characters are in no name', 'HTTP/1.1 200 OK\r\nX\x01: 1'],
  ['a field name is a token with its colon behind it', 'HTTP/1.1 200 OK\r\nContent-Length : 5'],
  ['a field is one line', 'HTTP/1.1 200 OK\r\nX: 1\r\n 2'],
  ['a value has no NUL and no CR', 'HTTP/1.1 200 OK\r\nX: \0', 'HTTP/1.1 200 OK\r\nX: 1\rY: 2'],
  [
    'the one coding is chunked, once',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nTransfer-Encoding: chunked',
  ],
  [
    'no control characters in fields that frame the body',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: \x0bchunked',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\x0c',
  ],
  ['HTTP/1.0 has no codings', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked'],
  [
    'one length',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6',
    'HTTP/1.1 200 OK\r\nContent-Length:\r\nContent-Length: 5',
    'HTTP/1.1 200 OK\r\nContent-Length: 5, 6',
    'HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nContent-Length: 05',
  ],
  [
    'a length is digits, and few enough for a number',
    'HTTP/1.1 200 OK\r\nContent-Length: 5x',
    'HTTP/1.1 200 OK\r\nContent-Length:',
    `HTTP/1.1 200 OK\r\nContent-Length: ${'9'.repeat(16)}`,
  ],
]
for (const [rule, ...answers] of refused) {
  t.test(rule, async (t) => {
    for (const answer of answers) t.throws(() => read(answer), AnswerError, JSON.stringify(answer))
  })
}

t.test('the refusal names its rule', async (t) => {
  for (const [answer, rule] of [
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6', /two different lengths/],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked', /Transfer-Encoding is "gzip, chunked"/],
    ['HTTP/1.1 20 OK', /status line/],
    ['HTTP/1.1 200 OK\r\nX : 1', /a field is not one line/],
  ] as const)
    t.throws(() => read(answer), { message: rule })
})

t.test('what has one reading is mended', async (t) => {
  const length = { framing: 'length', length: 5, passed: 'Content-Length: 5\r\n', keepsAlive: true }
  t.match(read('HTTP/1.1 200 OK\nContent-Length: 5'), { ...length, message: 'OK' }, 'LF alone')
  t.match(read('HTTP/1.1  200 OK\r\nContent-Length: 5'), { ...length, status: 200 }, 'two blanks')
  t.match(read('HTTP/1.1 200 O\x01K'), { message: 'O K' })
  t.match(read('HTTP/1.1 200 OK\r\nX: a\x1bb'), { passed: 'X: a b\r\n' }, 'a control character')
  t.match(read('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5'), length, 'equal lengths')
  t.match(read('HTTP/1.1 200 OK\r\nContent-Length: 5, 5'), length, 'and as a list')
  const chunked = { framing: 'chunked', length: 0, passed: '', keepsAlive: false }
  for (const answer of [
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\ncontent-length: 5\r\nContent-Length: 6',
  ]) {
    t.match(read(answer), chunked, 'chunked overrides lengths')
    t.notMatch(read(answer).text, /content-length/i, 'which the client does not get')
  }
})
