/**
 * registrar/: one exchange with a gateway that may do anything; never longer than timeoutMs, never more than
 * an error (docs/architecture/plugin.md#telling-the-gateway).
 */
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Assignment } from '../../../core/api.ts'
import { announce, withdraw } from '../../../registrar/assignments.ts'
import { parseAnswer } from '../../../registrar/exchange.ts'
import { scratchFolder } from '../../helpers/run/scratch.ts'

const TIMEOUT_MS = 120
/** What a machine busy with other tests may add to a timer. */
const MARGIN_MS = 1_000

/** A gateway that does what `script` says with each connection. */
async function gateway(t: Test, script: (socket: Socket) => void) {
  const socketPath = join(scratchFolder(t), 's')
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    script(socket)
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { socketPath, timeoutMs: 10_000 }
}

/** Everything asked up to the end of its body, then `answer`. */
const answering =
  (answer: string | Buffer, asked: string[] = []) =>
  (socket: Socket) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString()
      const [head, body] = text.split('\r\n\r\n')
      const length = Number(/content-length: (\d+)/.exec(head ?? '')?.[1] ?? 0)
      if (body === undefined || Buffer.byteLength(body) < length) return
      asked.push(text)
      socket.end(answer)
    })
  }

const http = (status: string, body: string, ...headers: string[]) =>
  [`HTTP/1.1 ${status}`, `Content-Length: ${Buffer.byteLength(body)}`, ...headers, '', body].join('\r\n')

const ASSIGNMENT: Assignment = {
  network: 'flatnet',
  containerId: 'c1',
  ifname: 'eth0',
  hostId: 1,
  ips: ['10.100.1.10/24'],
  mac: '0a:64:0a:64:01:0a',
  name: 'wäb',
  aliases: [],
  ports: [],
  httpPort: 80,
  createdAt: '2026-01-01T00:00:00.000Z',
}

/** The error and how long it took to come. */
async function failure(run: () => Promise<unknown>): Promise<{ message: string; ms: number }> {
  const began = performance.now()
  try {
    await run()
  } catch (err) {
    return { message: err instanceof Error ? err.message : String(err), ms: performance.now() - began }
  }
  throw new Error('nothing was thrown')
}

t.test('an assignment is posted whole, with its length in bytes, and 201 and 200 are success', async (t) => {
  for (const status of ['201 Created', '200 OK']) {
    const asked: string[] = []
    await announce(await gateway(t, answering(http(status, '{}'), asked)), ASSIGNMENT)
    const [head = '', body = ''] = (asked[0] ?? '').split('\r\n\r\n')
    t.match(head, /^POST \/v1\/assignments HTTP\/1\.1\r\nhost: flatnet\r\n/)
    t.match(head, /connection: close/)
    t.same(JSON.parse(body), ASSIGNMENT)
  }
})

t.test('a withdrawal names the attachment in its path; 204 needs no body and no close', async (t) => {
  const asked: string[] = []
  const endpoint = await gateway(t, (socket) => {
    socket.on('data', (chunk) => {
      asked.push(chunk.toString())
      socket.write('HTTP/1.1 204 No Content\r\n\r\n')
    })
  })
  await withdraw(endpoint, { ...ASSIGNMENT, ifname: 'eth 0?' })
  t.match(asked[0], /^DELETE \/v1\/assignments\/flatnet\/c1\/eth%200%3F HTTP\/1\.1\r\n/)
})

t.test('a refusal is an error with the status and what the gateway said', async (t) => {
  const endpoint = await gateway(t, answering(http('409 Conflict', '{"code":"held","message":"by c2"}')))
  await t.rejects(announce(endpoint, ASSIGNMENT), {
    code: 'ERR_FLATNET_IO',
    message: 'the gateway answered POST with 409',
    details: '{"code":"held","message":"by c2"}',
  })
  await t.rejects(withdraw(endpoint, ASSIGNMENT), { message: 'the gateway answered DELETE with 409' })
})

t.test('a gateway that never ends is given up after timeoutMs in all', async (t) => {
  const scripts: Record<string, (socket: Socket) => void> = {
    'it accepts and says nothing': () => {},
    'it says half of the head': (socket) => socket.write('HTTP/1.1 201 Cre'),
    'it says half of the body': (socket) =>
      socket.write('HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n{'),
    'it leaves the end open': (socket) => socket.write('HTTP/1.1 201 Created\r\n\r\n{}'),
    'it trickles byte by byte': (socket) => {
      const timer = setInterval(() => socket.write('H'), 10)
      socket.on('close', () => clearInterval(timer))
    },
  }
  for (const [name, script] of Object.entries(scripts)) {
    const endpoint = { ...(await gateway(t, script)), timeoutMs: TIMEOUT_MS }
    const { message, ms } = await failure(() => announce(endpoint, ASSIGNMENT))
    t.match(message, /gave no answer within 120 ms$/, name)
    t.ok(ms >= TIMEOUT_MS - 5 && ms < TIMEOUT_MS + MARGIN_MS, `${name}: ${ms} ms`)
  }
})

t.test('nobody there is told at once', async (t) => {
  const endpoint = { socketPath: join(scratchFolder(t), 'none'), timeoutMs: 10_000 }
  const { message, ms } = await failure(() => announce(endpoint, ASSIGNMENT))
  t.match(message, /none could not be reached$/)
  t.ok(ms < MARGIN_MS, `${ms} ms`)
})

t.test('what is no answer is an error, at once', async (t) => {
  const scripts: [string, (socket: Socket) => void, RegExp][] = [
    ['it hangs up', (socket) => socket.end(), /closed the connection without an answer/],
    [
      'it hangs up in the body',
      (socket) => socket.end('HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\n{'),
      /closed/,
    ],
    ['it speaks something else', (socket) => socket.end('SSH-2.0-OpenSSH\r\n\r\n'), /sent something else/],
    ['it sends too much', (socket) => socket.write(Buffer.alloc(2 << 20, 'x')), /sent too much/],
  ]
  for (const [name, script, expected] of scripts) {
    const endpoint = await gateway(t, script)
    const { message, ms } = await failure(() => announce(endpoint, ASSIGNMENT))
    t.match(message, expected, name)
    t.ok(ms < MARGIN_MS, `${name}: ${ms} ms`)
  }
})

t.test('an answer in chunks counts when the gateway closes: the status is what matters', async (t) => {
  const chunked = 'HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'
  await announce(await gateway(t, answering(chunked)), ASSIGNMENT)
  const refused = chunked.replace('201 Created', '403 Forbidden')
  await t.rejects(announce(await gateway(t, answering(refused)), ASSIGNMENT), {
    message: /answered POST with 403/,
  })
})

t.test('an answer is read the same however it is cut', async (t) => {
  const bytes = Buffer.from(http('200 OK', '{"name":"wäb"}', 'X-Other: 1'))
  for (let cut = 0; cut < bytes.length; cut++)
    t.equal(parseAnswer(bytes.subarray(0, cut), false), undefined, `${cut}`)
  t.same(parseAnswer(bytes, false), { status: 200, body: '{"name":"wäb"}' })
  t.same(parseAnswer(Buffer.from('HTTP/1.0 204 \r\n\r\n'), false), { status: 204, body: '' })
})
