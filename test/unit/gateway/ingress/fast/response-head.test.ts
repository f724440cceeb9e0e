/** Answers of containers: what the reader understands, and what it refuses by which rule. */

import t from 'tap'
import { readResponse } from '../../../../../gateway/ingress/fast/response-head.ts'

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
  ['a reason phrase has no control characters', 'HTTP/1.1 200 O\x01K'],
  ['a field name is a token with its colon behind it', 'HTTP/1.1 200 OK\r\nContent-Length : 5'],
  ['a field is one line', 'HTTP/1.1 200 OK\r\nX: 1\r\n 2'],
  ['a value has no control characters', 'HTTP/1.1 200 OK\r\nX: \0'],
  [
    'one framing, not both',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5',
  ],
  [
    'the one coding is chunked, once',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\nTransfer-Encoding: chunked',
  ],
  ['HTTP/1.0 has no codings', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked'],
  [
    'one length',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5',
    'HTTP/1.1 200 OK\r\nContent-Length:\r\nContent-Length: 5',
    'HTTP/1.1 200 OK\r\nContent-Length: 5, 5',
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
    for (const answer of answers) t.equal(read(answer), undefined, JSON.stringify(answer))
  })
}
