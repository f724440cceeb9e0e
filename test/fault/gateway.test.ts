/**
 * A gateway that is absent, hung, slow or mad never fails a container and never holds it longer than timeoutMs
 * (docs/architecture/plugin.md#telling-the-gateway).
 */
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Call, CniHost } from '../helpers/cni/cni.ts'
import { faultHost, needsStrace, standing } from '../helpers/cni/fault.ts'
import { NOBODY } from '../helpers/cni/fault-kill.ts'
import { executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const TIMEOUT_MS = 400
/** What an ADD takes here beyond the gateway, on a machine busy with other tests. */
const MARGIN_MS = 3_000

interface Script {
  readonly name: string
  /** The plugin has to wait for the whole of timeoutMs. */
  readonly isHung: boolean
  answer(socket: Socket): void
}

const SCRIPTS: readonly Script[] = [
  { name: 'accepts and never answers', isHung: true, answer: () => {} },
  {
    name: 'trickles byte by byte',
    isHung: true,
    answer: (socket) => {
      const timer = setInterval(() => socket.write(' '), 20)
      socket.on('close', () => clearInterval(timer))
      socket.write('HTTP/1.1 201 Created\r\nx:')
    },
  },
  { name: 'sends garbage', isHung: false, answer: (socket) => socket.end('\0\r\n\r\n') },
  { name: 'hangs up', isHung: false, answer: (socket) => socket.destroy() },
  {
    name: 'refuses',
    isHung: false,
    answer: (socket) => socket.end('HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\n{}'),
  },
]

/** A Unix socket is reached from every network namespace. */
async function scripted(t: Test, host: CniHost, script: Script): Promise<Call> {
  const path = join(host.m.dir, `${script.name.length}.sock`)
  const server = createServer((socket) => {
    socket.on('error', () => {})
    script.answer(socket)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.teardown(() => server.close())
  return endpoint(path)
}

const endpoint = (path: string): Call => ({
  conf: { registrar: { endpoint: `unix://${path}`, timeoutMs: TIMEOUT_MS } },
})

async function timed(host: CniHost, verb: 'ADD' | 'DEL', call: Call): Promise<number> {
  const began = performance.now()
  await host.ok(verb, call)
  return performance.now() - began
}

async function bothBounded(t: Test, host: CniHost, call: Call, isHung: boolean): Promise<void> {
  for (const verb of ['ADD', 'DEL'] as const) {
    const ms = await timed(host, verb, call)
    t.ok(ms < TIMEOUT_MS + MARGIN_MS, `${verb}: ${Math.round(ms)} ms`)
    if (isHung) t.ok(ms > TIMEOUT_MS, `${verb} did ask: ${Math.round(ms)} ms`)
    if (verb === 'ADD') t.same((await standing(host)).leases, ['c1'])
  }
  t.same(await standing(host), NOBODY)
}

for (const executable of executables()) {
  for (const script of SCRIPTS)
    t.test(`${executable.name}: a gateway that ${script.name}`, { skip: needsStrace }, async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      await bothBounded(t, host, await scripted(t, host, script), script.isHung)
    })

  t.test(`${executable.name}: a gateway that is stopped`, { skip: needsStrace }, async (t) => {
    const host = await faultHost(t, executable)
    await host.container('c1')
    const path = join(host.m.dir, 'stopped.sock')
    const listen = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('ready'))`
    const gateway = await host.m.start([process.execPath, '-e', listen])
    await waitFor('it listens', 10_000, () => gateway.log().includes('ready'))
    await gateway.kill('SIGSTOP')
    await bothBounded(t, host, endpoint(path), true)
    await gateway.kill('SIGKILL')
    // Its socket file is still there, with nobody behind it.
    await bothBounded(t, host, endpoint(path), false)
  })
}
