/**
 * A member that has gone bad: it makes the control connection to a peer with its own host's key, keeps it up with
 * heartbeats and sends what it is told, a line of stdin each: `m <JSON>` a message, `x <hex>` bytes as they are. Prints
 * `open`, each message of the peer as JSON, and `closed`. Run in the host's namespace.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { ClusterFiles } from '../../../gateway/cluster/identity/files.ts'
import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  FrameReader,
  FrameType,
} from '../../../gateway/links/frames.ts'
import { Alpn, dialPeer } from '../../../gateway/links/tls.ts'
import type { ControlMessage, Identity } from '../../../gateway/links/types.ts'
import type { TestHost } from '../cluster/hosts.ts'
import { ownProgram } from '../run/own-program.ts'
import { waitFor } from '../run/wait.ts'

/** Who a host's files say that it is. */
export function identityIn(dataDir: string): Identity {
  const files = new ClusterFiles(dataDir)
  const certPem = files.read('certPem') ?? ''
  const uri = new X509Certificate(certPem).subjectAltName ?? ''
  const [, cluster = '', own = ''] = /flatnet:\/\/([^/]+)\/host\/(\d+)/.exec(uri) ?? []
  const caPem = files.read('caPem') ?? ''
  const keyPem = files.read('keyPem') ?? ''
  return { cluster, hostId: Number(own), caPem, certPem, keyPem }
}

export interface HostilePeer {
  /** Of the peer, in order. */
  readonly heard: readonly ControlMessage[]
  readonly isOpen: boolean
  send(message: ControlMessage): void
  raw(bytes: Uint8Array): void
  end(): void
}

/** Takes the place of the gateway of `own`, which does not run, at one of its peers. */
export async function hostilePeer(
  t: Pick<Test, 'teardown'>,
  own: TestHost,
  to: TestHost,
): Promise<HostilePeer> {
  const argv = ownProgram(import.meta.filename)
  const args = [...argv, own.dataDir, String(to.index), `${to.ip}:7443`]
  const child: ChildProcessWithoutNullStreams = spawn('ip', ['netns', 'exec', own.ns.name, ...args])
  t.teardown(() => child.kill('SIGKILL'))
  const heard: ControlMessage[] = []
  let state = ''
  let complaint = ''
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) heard.push(JSON.parse(line))
    else state = line
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint += text
  })
  child.stdin.on('error', () => {})
  await waitFor('the hostile peer is in', 10_000, () => {
    if (complaint !== '') throw new Error(complaint)
    return state === 'open'
  })
  return {
    heard,
    get isOpen() {
      return state === 'open'
    },
    send: (message) => void child.stdin.write(`m ${JSON.stringify(message)}\n`),
    raw: (bytes) => void child.stdin.write(`x ${Buffer.from(bytes).toString('hex')}\n`),
    end: () => void child.kill('SIGKILL'),
  }
}

if (process.argv[1] === import.meta.filename) {
  const [, , dataDir = '', hostId = '', endpoint = ''] = process.argv
  const socket = dialPeer(identityIn(dataDir), Number(hostId), endpoint, Alpn.control, () => undefined)
  const reader = new FrameReader()
  const ping = (): boolean => socket.write(encodeFrame(FrameType.ping, Buffer.alloc(8)))
  socket.on('error', () => {})
  socket.once('secureConnect', () => {
    process.stdout.write('open\n')
    ping()
    setInterval(ping, 1_000)
  })
  socket.on('data', (chunk: Buffer) => {
    for (const { type, body } of reader.push(chunk)) {
      if (type === FrameType.ping) socket.write(encodeFrame(FrameType.pong, body))
      else if (type === FrameType.message) process.stdout.write(`${JSON.stringify(decodeMessage(body))}\n`)
    }
  })
  socket.once('close', () => {
    process.stdout.write('closed\n')
    process.exit(0)
  })
  createInterface({ input: process.stdin }).on('line', (line) => {
    const text = line.slice(2)
    socket.write(line.startsWith('m') ? encodeMessage(JSON.parse(text)) : Buffer.from(text, 'hex'))
  })
}
