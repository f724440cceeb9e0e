/** Where a request begins that Node's parser refused. */

import t from 'tap'
import { type Before, headStart, methodStart } from '../../../../../gateway/ingress/fast/for-node.ts'

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

/** The parser stops at the bar, for another reason than the method. */
const forms: readonly [name: string, before: Before, bytes: string, start: number | undefined][] = [
  ['first in the packet', 'gone', 'GET /|\xfc HTTP/1.1\r\n\r\n', 0],
  ['behind empty lines', 'gone', '\r\n\r\nGET /|\xfc HTTP/1.1\r\n\r\n', 4],
  ['behind a head', 'head', `GET${REST}GET / HTTP/1.1|\nHost: a\n\n`, 18],
  ['behind two', 'head', `GET${REST}GET${REST}GET / HTTP/1.1|\n\n`, 36],
  ['behind a head of an earlier packet', 'head', 'GET / HTTP/1.1|\n\n', 0],
  ['behind a body', 'body', `hiGET / HTTP/1.1|\n\n`, undefined],
  ['behind its own end', 'head', `POST${REST}|`, undefined],
]
for (const [name, before, text, start] of forms) {
  t.test(`form, ${name}`, async (t) => {
    t.equal(headStart(Buffer.from(text.replace('|', ''), 'latin1'), text.indexOf('|'), before), start)
  })
}
