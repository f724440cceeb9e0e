/** A head is one however it is cut; what cannot become one is not waited for. */

import t from 'tap'
import { HeadGatherer } from '../../../../../gateway/ingress/fast/head-gatherer.ts'

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')

for (const [name, text] of [
  ['CRLF', 'UNLIST /a HTTP/1.1\r\nHost: web.x\r\n\r\n'],
  ['LF alone', 'GET /\xfc HTTP/1.1\nHost: web.x\n\n'],
  ['an empty line with a CR', 'GET / HTTP/1.1\nHost: web.x\n\r\n'],
] as const) {
  t.test(`${name}, cut anywhere and byte by byte`, async (t) => {
    for (let cut = 1; cut < text.length; cut++) {
      const gatherer = new HeadGatherer(1000)
      t.equal(gatherer.take(bytes(text.slice(0, cut))), undefined, `cut at ${cut}`)
      t.ok(gatherer.hasBegun)
      t.equal(gatherer.take(bytes(`${text.slice(cut)}body`))?.toString('latin1'), `${text}body`)
      t.notOk(gatherer.hasBegun)
    }
    const gatherer = new HeadGatherer(1000)
    for (const [i, byte] of [...text].entries()) {
      const whole = gatherer.take(bytes(byte))?.toString('latin1')
      t.equal(whole, i === text.length - 1 ? text : undefined)
    }
  })
}

t.test('a whole head is handed on as it is', async (t) => {
  const whole = bytes('GET / HTTP/1.1\r\n\r\nGET')
  t.equal(new HeadGatherer(1000).take(whole), whole)
})

t.test('empty lines in front are none of it', async (t) => {
  const gatherer = new HeadGatherer(1000)
  for (const text of ['\r\n', '\n\r\n']) t.equal(gatherer.take(bytes(text)), undefined)
  t.notOk(gatherer.hasBegun)
  t.equal(gatherer.take(bytes('\r')), undefined)
  t.equal(gatherer.take(bytes('\nGET / HTTP/1.1\r\n')), undefined)
  t.equal(String(gatherer.take(bytes('\r\n'))), 'GET / HTTP/1.1\r\n\r\n')
})

t.test('what cannot become a head is handed on at once', async (t) => {
  for (const text of [
    'SSH-2.0-OpenSSH\r\n',
    '\x16\x03\x01',
    ' GET',
    '\rGET',
    'GET /\r\n',
    'x'.repeat(65),
    'GET / FTP/1\n',
  ])
    t.equal(new HeadGatherer(1000).take(bytes(text))?.toString('latin1'), text, JSON.stringify(text))
})

t.test('no more bytes than a head may have are held', async (t) => {
  const gatherer = new HeadGatherer(40)
  t.equal(gatherer.take(bytes('GET / HTTP/1.1\r\nX: ')), undefined)
  t.equal(gatherer.take(bytes('a'.repeat(30)))?.length, 49)
  t.notOk(gatherer.hasBegun)
  gatherer.take(bytes('GET'))
  gatherer.drop()
  t.notOk(gatherer.hasBegun)
})
