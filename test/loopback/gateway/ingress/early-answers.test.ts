/** A container that answers an upload before it has read it, and closes at once: the client gets that answer. */

import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { scriptedContainer } from '../../../helpers/gateway/gateway-upstream.ts'

const UPLOAD = 8 * 1024 * 1024
const TRIES = 50

const answers = {
  'with a length': 'HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbig\n',
  chunked: 'HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbig\n\r\n0\r\n\r\n',
} as const

for (const [form, answer] of Object.entries(answers)) {
  t.test(`413 to a large upload, ${form}: in ${TRIES} of ${TRIES} tries`, async (t) => {
    const gw = await startGateway(t)
    // Closed with bytes unread, the kernel sends a reset behind the answer.
    const web = await scriptedContainer(t, [
      (s) => s.once('data', () => s.pause().write(answer, () => s.destroy())),
    ])
    await gw.register({ name: 'web', ...web.at })
    const body = Buffer.alloc(UPLOAD, 'x')
    let got = 0
    for (let i = 0; i < TRIES; i++) {
      const socket = connect(gw.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(`POST / HTTP/1.1\r\nHost: web.x\r\nContent-Length: ${UPLOAD}\r\n\r\n`)
      socket.write(body)
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
        if (text.includes('big\n')) socket.destroy()
      })
      await once(socket, 'close')
      if (/^HTTP\/1\.1 413 [\s\S]*big\n/.test(text)) got++
      else t.comment(text)
    }
    t.equal(got, TRIES)
  })
}
