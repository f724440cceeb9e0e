/** Requests with transfer codings: chunked is passed on, and every other list is refused by name. */

import t from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer, raw } from '../../../helpers/gateway/gateway-upstream.ts'

const post = (...codings: string[]): string =>
  `POST / HTTP/1.1\r\nHost: web.x\r\nConnection: close\r\n${codings.map((c) => `Transfer-Encoding: ${c}\r\n`).join('')}\r\n2\r\nok\r\n0\r\n\r\n`

t.test('the gateway knows chunked, and answers 501 for a body that is coded besides', async (t) => {
  const gw = await startGateway(t)
  let requests = 0
  const web = await httpContainer(t, (req, res) => {
    requests++
    req.resume().on('end', () => res.end(`codings: ${req.headers['transfer-encoding']}`))
  })
  await gw.register({ name: 'web', ...web.at })
  for (const codings of [
    ['gzip, chunked'],
    ['gzip', 'chunked'],
    ['identity, chunked'],
    ['GZIP ,\tChunked'],
  ]) {
    const text = await raw(gw.port, post(...codings))
    t.match(text, /^HTTP\/1\.1 501 [\s\S]*Transfer-Encoding is "/, codings.join(' and '))
  }
  for (const codings of [['chunked, chunked'], ['chunked', 'chunked'], ['chunked, gzip'], ['gzip']])
    t.match(await raw(gw.port, post(...codings)), /^HTTP\/1\.1 400 /, codings.join(' and '))
  t.equal(requests, 0, 'no such request reaches the container')
  for (const coding of ['chunked', 'Chunked', '  chunked '])
    t.match(await raw(gw.port, post(coding)), /codings: chunked/, JSON.stringify(coding))
})
