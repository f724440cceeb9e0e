/** A container that answers an upload before it has read it, and closes at once: the client gets that answer. */

import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { gatewayPair } from '../../../helpers/gateway/gateway-pair.ts'
import { scriptedContainer } from '../../../helpers/gateway/gateway-upstream.ts'

const UPLOAD = Buffer.alloc(8 * 1024 * 1024, 'x')

const answers = {
  'with a length': 'HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbig\n',
  chunked: 'HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbig\n\r\n0\r\n\r\n',
} as const

interface Way {
  readonly port: number
  register(part: { name: string; ips: string[]; httpPort: number }): unknown
}
const ways: readonly [name: string, tries: number, start: (t: Test) => Promise<Way>][] = [
  ['of this host', 50, startGateway],
  ['behind another gateway', 15, gatewayPair],
]

/** Closed with bytes unread, the kernel sends a reset behind the answer. */
const refusing = (t: Test, answer: string) =>
  scriptedContainer(t, [(s) => s.once('data', () => s.pause().write(answer, () => s.destroy()))])

async function upload(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(`POST / HTTP/1.1\r\nHost: web.x\r\nContent-Length: ${UPLOAD.length}\r\n\r\n`)
  socket.write(UPLOAD)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
    if (text.includes('big\n')) socket.destroy()
  })
  // A reset that ends the upload is no failure: what counts is what arrived before.
  await once(socket, 'close').catch(() => {})
  return text
}

for (const [way, tries, start] of ways) {
  for (const [form, answer] of Object.entries(answers)) {
    t.test(`413 to a large upload, ${form}, ${way}: in ${tries} of ${tries} tries`, async (t) => {
      const gw = await start(t)
      const web = await refusing(t, answer)
      await gw.register({ name: 'web', ...web.at })
      let got = 0
      for (let i = 0; i < tries; i++) {
        const text = await upload(gw.port)
        if (/^HTTP\/1\.1 413 [\s\S]*big\n/.test(text)) got++
        else t.comment(text)
      }
      t.equal(got, tries)
    })
  }
}
