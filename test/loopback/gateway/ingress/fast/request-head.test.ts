/** Node's parser accepts each request that the fast path reads itself, and reads it the same. */

import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { rawHeadersOf } from '../../../../../gateway/ingress/fast/fields.ts'
import { withKnownMethod } from '../../../../../gateway/ingress/fast/for-node.ts'
import { readRequest } from '../../../../../gateway/ingress/fast/request-head.ts'

const request = (lines: string): Buffer => Buffer.from(`${lines}\r\n\r\n`, 'latin1')

t.test('each request that it accepts', async (t) => {
  const seen: IncomingMessage[] = []
  const server = createServer({ insecureHTTPParser: false }, (req, res) => {
    seen.push(req)
    res.end()
  })
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const byNode = async (bytes: Buffer): Promise<IncomingMessage | undefined> => {
    seen.length = 0
    const socket = connect(port, '127.0.0.1').resume()
    socket.on('error', () => {})
    socket.end(bytes)
    await once(socket, 'close')
    return seen.length === 1 ? seen[0] : undefined
  }
  const odd = fc.constantFrom('\t', ' ', '\r', '\n', '\0', ':', '\x7f', '\xe9', '#', '"', '(', 'a', ';', ',')
  const text = fc.string({
    unit: fc.oneof({ weight: 60, arbitrary: fc.constantFrom(...'azAZ09-_.~!') }, odd),
    maxLength: 8,
  })
  const name = fc.oneof(
    text,
    fc.constantFrom('Content-Length', 'transfer-encoding', 'Connection', 'Via', 'X_A'),
  )
  const value = fc.oneof(text, fc.constantFrom('0', '00', 'close', 'chunked', ' keep-alive\t'))
  const field = fc
    .tuple(name, fc.constantFrom(':', ': ', ': ', ':\t', ' :'), value)
    .map((parts) => parts.join(''))
  const line = fc.tuple(
    fc.constantFrom('GET', 'OPTIONS', 'DELETE', 'get'),
    text,
    fc.constantFrom('1.1', '1.1', '1.1', '1.0'),
  )
  const head = fc.tuple(
    line,
    fc.array(field, { maxLength: 3 }),
    fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '\n'),
  )
  let accepted = 0
  const property = fc.asyncProperty(head, async ([[method, path, version], fields, eol]) => {
    const lines = [`${method} /${path} HTTP/${version}`, 'Host: a', ...fields].join(eol)
    const bytes = request(lines)
    const own = readRequest(bytes)
    if (own === undefined || (own.length ?? 0) > 0) return true
    accepted++
    const known = withKnownMethod(bytes)
    const node = await byNode(known.bytes)
    return (
      (known.method ?? node?.method) === own.method &&
      node?.url === own.target &&
      JSON.stringify(node.rawHeaders) === JSON.stringify(rawHeadersOf(own))
    )
  })
  await fc.assert(property, { numRuns: 2000 })
  t.ok(accepted > 100, `${accepted} were accepted`)
})
