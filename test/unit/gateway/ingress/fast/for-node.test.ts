/** Where a request begins whose method Node's parser refused. */

import t from 'tap'
import { type Before, isPartOfMethod, methodStart } from '../../../../../gateway/ingress/fast/for-node.ts'

const REST = ' / HTTP/1.1\r\n\r\n'

/** The parser refuses the character behind the bar. */
const cases: readonly [name: string, before: Before, bytes: string, start: number | undefined][] = [
  ['first in the packet', 'gone', `LI|ST${REST}`, 0],
  ['refused at its first character', 'gone', `|XIST${REST}`, 0],
  ['longer than a known one', 'gone', `GET|X${REST}`, 0],
  ['a part of a known one', 'gone', `GE| ${REST}`, 0],
  ['behind empty lines', 'gone', `\r\n\r\nMK|X${REST}`, 4],
  ['behind a head', 'head', `GET${REST}MK|X${REST}`, 18],
  ['first, behind a head of an earlier packet', 'head', `MK|X${REST}`, 0],
  ['behind a body of other characters', 'body', `hiLI|ST${REST}`, 2],
  ['behind a body with a whole method', 'body', `GETLI|ST${REST}`, 3],
  ['behind a body that could begin it', 'body', `L|XIST${REST}`, undefined],
  ['behind a body that ends in a line', 'body', `\nMK|X${REST}`, undefined],
]
for (const [name, before, text, start] of cases) {
  t.test(name, async (t) => {
    t.equal(methodStart(Buffer.from(text.replace('|', ''), 'latin1'), text.indexOf('|'), before), start)
  })
}

t.test('what may be a part of a method', async (t) => {
  for (const text of ['G', 'LIST', 'M-SEARCH']) t.ok(isPartOfMethod(Buffer.from(text)), text)
  for (const text of ['', 'GET ', 'GET /', '\r\n', 'x'.repeat(65), '\x16\x03'])
    t.notOk(isPartOfMethod(Buffer.from(text)), text)
})
