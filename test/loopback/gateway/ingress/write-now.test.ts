/** Bytes that are written at once from memory which is used again right after, to clients fast and slow. */

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { sentPastNode, writeNow } from '../../../../gateway/ingress/write-now.ts'

/** @returns the gateway's end and the client's, which reads nothing yet */
async function pair(t: Test): Promise<[Socket, Socket]> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const client = connect({ port: typeof address === 'object' ? (address?.port ?? 0) : 0, host: '127.0.0.1' })
  const [socket] = (await once(server, 'connection')) as [Socket]
  client.pause()
  t.teardown(() => {
    for (const end of [client, socket]) end.destroy()
    server.close()
  })
  return [socket, client]
}

async function all(client: Socket): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of client) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('latin1')
}

const memory = Buffer.alloc(65_536)

t.test('a client that reads late gets every byte, although the memory is written over', async (t) => {
  const [socket, client] = await pair(t)
  let expected = ''
  // More than the kernel takes of one connection, so that most of it waits in Node.
  for (let i = 0; i < 256; i++) {
    const letter = String.fromCharCode(97 + (i % 26))
    memory.fill(letter)
    writeNow(socket, [`<${i}>\xe9`, memory, '\r\n'])
    expected += `<${i}>\xe9${letter.repeat(memory.length)}\r\n`
    memory.fill('!')
  }
  t.ok(socket.writableLength > 0, 'the kernel had its fill')
  t.equal(sentPastNode(socket) + socket.bytesWritten, expected.length, 'each byte is counted once')
  socket.end()
  t.ok((await all(client)) === expected, 'in order and whole')
})

t.test('one that the kernel has room for gets it without Node', async (t) => {
  const [socket, client] = await pair(t)
  const head = `${'x'.repeat(20_000)}\r\n`
  memory.fill('y')
  writeNow(socket, [head, memory.subarray(0, 9)])
  memory.fill('!')
  t.equal(socket.writableLength, 0)
  socket.end()
  t.equal(await all(client), `${head}${'y'.repeat(9)}`)
})

t.test('a broken connection is told as an error of the socket', async (t) => {
  const [socket, client] = await pair(t)
  socket.on('data', () => {})
  const broken = new Promise((resolve) => socket.once('close', resolve))
  const errors: unknown[] = []
  socket.on('error', (err) => errors.push(err))
  client.resetAndDestroy()
  // The reset is on loopback: the kernel has it before the next call.
  writeNow(socket, ['head', memory])
  writeNow(socket, ['head', memory])
  await broken
  t.not(errors.length, 0)
  writeNow(socket, ['head', memory])
})
