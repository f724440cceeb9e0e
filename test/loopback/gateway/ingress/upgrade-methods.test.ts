/** Upgrades of any method, with and without a body, as `kubectl exec` and `docker exec` send them (RFC 9110 7.8). */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { scriptedContainer, until } from '../../../helpers/gateway/gateway-upstream.ts'

const SWITCH = 'HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'

/** Switches once `all` has arrived, then answers each byte as a capital. */
const switching =
  (all: string) =>
  (s: Socket): void => {
    let seen = ''
    let isSwitched = false
    s.on('data', (chunk: Buffer) => {
      if (isSwitched) s.write(chunk.toString('latin1').toUpperCase())
      else seen += chunk.toString('latin1')
      if (isSwitched || !seen.includes(all)) return
      isSwitched = true
      s.write(`${SWITCH}hello `)
      const rest = seen.slice(seen.indexOf(all) + all.length)
      if (rest !== '') s.write(rest.toUpperCase())
    })
    s.on('end', () => s.end(' bye'))
  }

interface Client {
  readonly socket: Socket
  readonly text: () => string
}

async function ask(t: Pick<Test, 'teardown'>, port: number, ...parts: string[]): Promise<Client> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  socket.setNoDelay(true)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  for (const part of parts) {
    socket.write(part)
    // Each in a segment of its own.
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return { socket, text: () => text }
}

const head = (method: string, protocol: string, fields = ''): string =>
  `${method} /exec HTTP/1.1\r\nHost: web.x\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${fields}\r\n`

const LENGTH_0 = 'Content-Length: 0\r\n'
const LENGTH_9 = 'Content-Length: 9\r\n'
const CODED = 'Transfer-Encoding: chunked\r\n'
const BODY = '{"a":"b"}'

const cases: readonly [name: string, parts: readonly string[], until: string][] = [
  ['POST to tcp, no length', [head('POST', 'tcp')], '\r\n\r\n'],
  ['POST to SPDY, length 0', [head('POST', 'SPDY/3.1', LENGTH_0)], '\r\n\r\n'],
  ['POST with a body', [head('POST', 'tcp', LENGTH_9) + BODY], BODY],
  ['POST whose body follows', [head('POST', 'tcp', LENGTH_9), BODY.slice(0, 4), BODY.slice(4)], BODY],
  [
    'a chunked body',
    [head('POST', 'tcp', CODED), `9\r\n${BODY}\r\n`, '0\r\n\r\n'],
    `9\r\n${BODY}\r\n0\r\n\r\n`,
  ],
  ['GET with a body', [head('GET', 'tcp', LENGTH_9) + BODY], BODY],
  ['a container that switches before the body', [head('PUT', 'tcp', LENGTH_9), BODY], '\r\n\r\n'],
  ['a method that Node has no name for', [head('EXEC', 'tcp', LENGTH_9) + BODY], BODY],
]
for (const [name, parts, all] of cases) {
  t.test(name, async (t) => {
    const gw = await startGateway(t)
    const web = await scriptedContainer(t, [switching(all)])
    await gw.register({ name: 'web', ...web.at })
    const { socket, text } = await ask(t, gw.port, ...parts)
    await until(() => text().includes('hello '), 'the 101 and what follows')
    socket.write('one ')
    await until(() => text().includes('ONE '), 'an echo')
    socket.end('two')
    await until(() => text().endsWith(' bye'), 'the end of the container')
    t.match(
      text(),
      /^HTTP\/1\.1 101 Switching Protocols\r\n[\s\S]*\r\n\r\nhello (?:\{"A":"B"\})?ONE TWO bye$/,
    )
    const [method = ''] = parts[0]!.split(' ')
    t.match(web.received[0], new RegExp(`^${method} /exec HTTP/1\\.1\\r\\n`))
    t.match(web.received[0], /Connection: Upgrade\r\nUpgrade: (?:tcp|SPDY\/3\.1)\r\n/)
    t.equal(web.received.length, 1)
  })
}

t.test('what follows the body waits for the 101', async (t) => {
  const gw = await startGateway(t)
  const refusal = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'
  const web = await scriptedContainer(t, [
    (s) =>
      s.on('data', (chunk) => {
        if (String(chunk).includes(BODY)) s.write(refusal)
      }),
  ])
  await gw.register({ name: 'web', ...web.at })
  const second = 'GET /hidden HTTP/1.1\r\nHost: web.x\r\n\r\n'
  const { socket, text } = await ask(t, gw.port, head('POST', 'tcp', LENGTH_9) + BODY + second)
  await until(() => socket.readableEnded, 'the end of the answer')
  t.match(text(), /^HTTP\/1\.1 403 [\s\S]*no$/)
  t.notMatch(web.received.join(''), /hidden/, 'no container sees a request that the gateway has not read')
})

t.test('an answer before the body, and 100-continue', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [
    (s) => s.once('data', () => s.write('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')),
    switching(BODY),
  ])
  await gw.register({ name: 'web', ...web.at })
  const refused = await ask(t, gw.port, head('POST', 'tcp', LENGTH_9))
  await until(() => refused.text().endsWith('no'))
  t.match(refused.text(), /^HTTP\/1\.1 403 /)
  const { socket, text } = await ask(t, gw.port, head('POST', 'tcp', `Expect: 100-continue\r\n${LENGTH_9}`))
  await until(() => text().includes('HTTP/1.1 100 Continue'))
  socket.write(BODY)
  await until(() => text().endsWith('hello '))
  t.match(text(), /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 101 /)
})

t.test('no upgrade in HTTP/1.0', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [
    (s) => s.once('data', () => s.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')),
  ])
  await gw.register({ name: 'web', ...web.at })
  const { socket, text } = await ask(t, gw.port, head('GET', 'tcp').replace('HTTP/1.1', 'HTTP/1.0'))
  await until(() => socket.readableEnded, 'the end of the answer')
  t.match(text(), /^HTTP\/1\.1 200 [\s\S]*ok$/)
  t.notMatch(web.received[0], /Upgrade/)
})
