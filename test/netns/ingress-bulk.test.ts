/** Large bodies through a gateway of its own process: whole, and never held in memory. */

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request, type ServerResponse } from 'node:http'
import t from 'tap'
import { jsonBody } from '../helpers/gateway/gateway-fixture.ts'
import { spawnGateway } from '../helpers/gateway/gateway-process.ts'
import { assignmentOf } from '../helpers/gateway/gateway-samples.ts'
import { httpContainer } from '../helpers/gateway/gateway-upstream.ts'
import { scratchFolder } from '../helpers/run/scratch.ts'

t.test('100 MB up and 100 MB down', async (t) => {
  const block = randomBytes(1024 * 1024)
  let blocks = 10
  const gw = await spawnGateway(t, scratchFolder(t))
  const answer = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const hash = createHash('sha256')
    for await (const chunk of req) hash.update(chunk)
    res.writeHead(200, { 'x-hash': hash.digest('hex') })
    for (let i = 0; i < blocks; i++) if (!res.write(block)) await once(res, 'drain')
    res.end()
  }
  const web = await httpContainer(t, (req, res) => void answer(req, res))
  const assignment = assignmentOf({ name: 'web', ...web.at })
  t.equal((await gw.api('/v1/assignments', { method: 'POST', ...jsonBody(assignment) })).status, 201)
  const round = async (): Promise<void> => {
    const wanted = createHash('sha256')
    for (let i = 0; i < blocks; i++) wanted.update(block)
    const digest = wanted.digest('hex')
    const req = request({
      port: gw.port,
      method: 'PUT',
      headers: { host: 'web.x', 'content-length': blocks * block.length },
      signal: AbortSignal.timeout(60_000),
    })
    const response = once(req, 'response') as Promise<[IncomingMessage]>
    for (let i = 0; i < blocks; i++) if (!req.write(block)) await once(req, 'drain')
    req.end()
    const [res] = await response
    t.equal(res.headers['x-hash'], digest, 'upload')
    const hash = createHash('sha256')
    for await (const chunk of res) hash.update(chunk)
    t.equal(hash.digest('hex'), digest, 'download')
  }

  // What any body costs, code and buffers, is not what is asked here.
  await round()
  const before = await gw.memoryKib('VmHWM')
  blocks = 100
  await round()
  const grown = ((await gw.memoryKib('VmHWM')) - before) / 1024
  t.ok(grown < 80, `peak memory grew by ${Math.round(grown)} MB for 200 MB`)
})
