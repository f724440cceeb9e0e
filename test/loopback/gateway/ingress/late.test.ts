/** Prefer: respond-async at the edge: what is accepted, refused and shown, by HTTP as clients send it. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import t, { type Test } from 'tap'
import { silentLog } from '../../../../core/log.ts'
import type { Submission } from '../../../../gateway/gossip/messages.ts'
import type { OwnRequest } from '../../../../gateway/gossip/own-requests.ts'
import type { IngressDeps } from '../../../../gateway/ingress/deps.ts'
import { LateRequests } from '../../../../gateway/ingress/late.ts'
import type { Target } from '../../../../gateway/ingress/route.ts'

const ID = 'ab'.repeat(16)
const KIB = 1024

async function edge(t: Test, decision: object = { via: { kind: 'none' }, state: 'ISOLATED' }) {
  const submitted: Submission[] = []
  const stored = new Map<string, OwnRequest>()
  const deps = {
    conf: { hostId: 1, ingress: { responseHeaderTimeoutMs: 300, trustedProxies: [] } },
    log: silentLog,
    paths: { decision: () => decision },
    messages: {
      submit(submission: Submission) {
        submitted.push(submission)
        return { id: ID }
      },
      request: (id: string) => stored.get(id),
      waiting: () => [],
    },
  } as unknown as IngressDeps
  const late = new LateRequests(deps)
  const respond = (req: IncomingMessage, res: ServerResponse, expectsContinue: boolean): void => {
    const assignment = { hostId: 2, name: 'web' }
    const target = { assignment, ip: '10.100.2.10', port: 80, path: '/orders', prefix: '', host: 'Web.X' }
    if (late.answer(req, res)) return
    if (!late.accept(req, res, target as unknown as Target, expectsContinue)) res.end('at once')
  }
  const server = createServer((req, res) => respond(req, res, false))
  server.on('checkContinue', (req, res) => respond(req, res, true))
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  t.teardown(() => server.closeAllConnections())
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  /** @returns all that the gateway says until it closes, or nothing more comes for a while */
  const send = (...pieces: string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1')
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
      })
      socket.setTimeout(1_000, () => socket.destroy())
      socket.on('error', reject)
      socket.on('close', () => resolve(text))
      for (const piece of pieces) socket.write(piece)
    })
  const put = (answer: OwnRequest['answer']): void => {
    const times = { at: 1_795_000_000_000, expires: 1_795_086_400_000 }
    stored.set(ID, { id: ID, seq: 1, to: 2, method: 'POST', target: 'web', host: 'web.x', ...times, answer })
  }
  return { submitted, send, put }
}

const post = (length: number, ...fields: string[]): string =>
  [
    'POST /orders HTTP/1.1',
    'Host: Web.X',
    `Content-Length: ${length}`,
    ...fields,
    'Connection: close',
    '',
    '',
  ].join('\r\n')
const PREFER = 'Prefer: respond-async, wait=10'

t.test('accepted: the whole body goes, and the answer has a place', async (t) => {
  const { submitted, send } = await edge(t)
  const text = await send(post(5, PREFER, 'Upgrade-Insecure-Requests: 1'), 'he', 'llo')
  t.match(text, /^HTTP\/1\.1 202 Accepted\r\n/)
  t.match(text, new RegExp(`\r\nlocation: /v1/messages/${ID}\r\n`))
  t.match(text, /\r\npreference-applied: respond-async\r\n/)
  const [first] = submitted
  t.match(first, { to: 2, target: 'web', host: 'web.x', request: { method: 'POST', path: '/orders' } })
  t.equal(first?.request.body.toString(), 'hello')
  const headers = first?.request.headers ?? []
  t.equal(headers[headers.indexOf('Content-Length') + 1], '5')
  t.notOk(headers.some((name) => /^(prefer|transfer-encoding|expect|connection)$/i.test(name)))
})

for (const prefer of ['return=minimal', 'x=respond-async', 'respond-asynchronous'])
  t.test(`no such preference: ${prefer}`, async (t) => {
    const { submitted, send } = await edge(t)
    t.match(await send(post(0, `Prefer: ${prefer}`)), 'at once')
    t.same(submitted, [])
  })

t.test('not where a path leads, nor to a host in quarantine', async (t) => {
  for (const decision of [
    { via: { kind: 'gateway' }, state: 'GATEWAY_ONLY' },
    { via: { kind: 'none' }, state: 'QUARANTINED' },
  ])
    t.match(await (await edge(t, decision)).send(post(0, PREFER)), 'at once')
})

t.test('chunked, and with 100-continue', async (t) => {
  const { submitted, send } = await edge(t)
  const head = ['PUT /orders HTTP/1.1', 'Host: web.x', PREFER, 'Connection: close']
  await send(`${[...head, 'Transfer-Encoding: chunked'].join('\r\n')}\r\n\r\n`, '3\r\nabc\r\n0\r\n\r\n')
  const text = await send(
    `${[...head, 'Content-Length: 3', 'Expect: 100-continue'].join('\r\n')}\r\n\r\n`,
    'abc',
  )
  t.match(text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 202 /)
  t.same(
    submitted.map(({ request }) => request.body.toString()),
    ['abc', 'abc'],
  )
})

t.test('too long, said or sent: 413, and no 100 before it', async (t) => {
  const { submitted, send } = await edge(t)
  t.match(await send(post(64 * KIB + 1, PREFER, 'Expect: 100-continue')), /^HTTP\/1\.1 413 /)
  const chunk = `${(64 * KIB).toString(16)}\r\n${'x'.repeat(64 * KIB)}\r\n`
  const chunked = `PUT / HTTP/1.1\r\nHost: web.x\r\n${PREFER}\r\nTransfer-Encoding: chunked\r\n\r\n`
  t.match(await send(chunked, chunk, '1\r\nx\r\n0\r\n\r\n'), /^HTTP\/1\.1 413 /)
  t.match(await send(post(64 * KIB, PREFER), 'x'.repeat(64 * KIB)), /^HTTP\/1\.1 202 /)
  t.equal(submitted.length, 1)
})

t.test('a body that does not come: 408, and nothing is sent', async (t) => {
  const { submitted, send } = await edge(t)
  t.match(await send(post(5, PREFER), 'h'), /^HTTP\/1\.1 408 /)
  t.same(submitted, [])
})

const get = (target: string, method = 'GET', host = 'web.x'): string =>
  `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`

t.test('what waits, what failed, and what was answered', async (t) => {
  const { send, put } = await edge(t)
  const path = `/v1/messages/${ID}`
  t.match(await send(get(path)), 'at once', "an unknown one is the container's own path")
  put(undefined)
  t.match(
    await send(get(path)),
    /^HTTP\/1\.1 202 .*x-flatnet-message: waiting.*POST web waits for a way to host 2/is,
  )
  t.match(await send(get(`http://web.x${path}`)), /^HTTP\/1\.1 202 /, 'absolute form')
  t.match(await send(get(path, 'GET', 'other.x')), 'at once', 'under another host it is not shown')
  t.match(await send(get(path, 'DELETE')), /^HTTP\/1\.1 405 .*allow: GET, HEAD/is)
  put({ problem: 'no container has it any more' })
  t.match(await send(get(path)), /^HTTP\/1\.1 502 .*x-flatnet-message: failed.*no container has it/is)
  const headers = [
    'Content-Type',
    'text/html',
    'Set-Cookie',
    'a=b',
    'Content-Security-Policy',
    'x',
    'Clear-Site-Data',
    '*',
  ]
  put({ status: 200, headers, body: Buffer.from('<b>done').toString('base64') })
  const text = await send(get(path))
  t.match(text, /^HTTP\/1\.1 200 .*Content-Length: 7\r\n.*\r\n\r\n<b>done$/s)
  t.match(text, /Content-Security-Policy: sandbox\r\n/)
  t.match(text, /X-Content-Type-Options: nosniff\r\n/)
  t.notMatch(text, /Set-Cookie|Clear-Site-Data|Policy: x/)
  t.match(await send(get(path, 'HEAD')), /Content-Length: 7\r\n.*\r\n\r\n$/s)
  put({ status: 204, headers: [], body: '' })
  t.notMatch(await send(get(path)), /Content-Length/i)
})
