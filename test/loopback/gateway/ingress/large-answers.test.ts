/** Large answers to clients that read at different times: all come through the same memory, and none gets another's. */

import { once } from 'node:events'
import { get as getPlain, type IncomingMessage } from 'node:http'
import { get as getSecure } from 'node:https'
import t, { type Test } from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer } from '../../../helpers/gateway/gateway-upstream.ts'
import { webCa, webPair, writePair } from '../../../helpers/gateway/web-certificate.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

/** More than the kernel takes of one connection, so that some of it waits in the gateway. */
const BYTES = 8 * 1024 * 1024
const LETTERS = ['a', 'b', 'c', 'd']

/** Plain and HTTPS, before one container that fills its answer with the letter of the path. */
async function stage(t: Test) {
  const ca = await webCa()
  const pair = writePair(scratchFolder(t), 'web', await webPair(ca, ['web.x']))
  const gw = await startGateway(t, { ingress: { tls: { listen: '127.0.0.1:0', ...pair } } })
  const web = await httpContainer(t, (req, res) => {
    const [, letter = '', form] = (req.url ?? '').split('/')
    const part = Buffer.alloc(65_536, letter)
    if (form === 'length') res.setHeader('content-length', BYTES)
    for (let sent = 0; sent < BYTES; sent += part.length) res.write(part)
    res.end()
  })
  await gw.register({ name: 'web', ...web.at })
  const secure = (await gw.api('/v1/status')).json().ingress.tls.port
  const to = { host: '127.0.0.1', agent: false, headers: { host: 'web.x' } }
  return {
    http: (path: string) => getPlain({ ...to, path, port: gw.port }),
    https: (path: string) => getSecure({ ...to, path, port: secure, servername: 'web.x', ca: ca.pem }),
  }
}

/** @returns how many bytes of the body came in pieces of this letter alone, and how many in others */
async function read(res: IncomingMessage, letter: string): Promise<{ own: number; others: number }> {
  const counts = { own: 0, others: 0 }
  for await (const chunk of res as AsyncIterable<Buffer>) {
    const isOwn = chunk.equals(Buffer.alloc(chunk.length, letter))
    counts[isOwn ? 'own' : 'others'] += chunk.length
  }
  return counts
}

t.test('each client gets its own answer, whole', async (t) => {
  const ways = await stage(t)
  for (const [way, get] of Object.entries(ways))
    for (const form of ['length', 'chunked'])
      await t.test(`${way}, ${form}`, async (t) => {
        const answers = await Promise.all(
          LETTERS.map(async (letter) => {
            const [res] = await once(get(`/${letter}/${form}`), 'response')
            return res as IncomingMessage
          }),
        )
        // The first two answers wait in the gateway while the others are read.
        for (const some of [
          [2, 3],
          [0, 1],
        ]) {
          const counts = await Promise.all(some.map((i) => read(answers[i]!, LETTERS[i]!)))
          t.same(
            counts,
            some.map(() => ({ own: BYTES, others: 0 })),
          )
        }
      })
})
