/** A gateway as a separate process, for what tests cannot see from inside: its memory, its signals, its death. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { type Answer, type Asked, ask } from './gateway-fixture.ts'

export interface GatewayProcess {
  readonly child: ChildProcess
  readonly port: number
  readonly socket: string
  /** All of stdout and stderr so far. */
  output(): string
  api(path: string, asked?: Asked): Promise<Answer>
  /** A line of /proc/<pid>/status in KiB, e.g. `VmHWM`. */
  memoryKib(line: string): Promise<number>
  /** Sends the signal; resolves with the exit code, or the signal that killed it. */
  end(signal: NodeJS.Signals): Promise<number | string | null>
}

const RUNNER = fileURLToPath(new URL('./gateway-run.ts', import.meta.url))

export interface SpawnOptions {
  /** Keys of flatnet.yaml to replace. */
  readonly conf?: Readonly<Record<string, unknown>>
  /** Name of a namespace of `ip netns` to run it in. */
  readonly netns?: string
}

/** @param folder its dataDir is `data` in it, its socket `gateway.sock` */
export async function spawnGateway(
  t: Pick<Test, 'teardown'>,
  folder: string,
  options: SpawnOptions = {},
): Promise<GatewayProcess> {
  const socket = join(folder, 'gateway.sock')
  const conf = join(folder, 'flatnet.yaml')
  const values = {
    hostId: 1,
    supernet: '127.0.0.0/8',
    hostPrefix: 16,
    dataDir: join(folder, 'data'),
    api: { socket },
    ingress: { listen: '127.0.0.1:0', drainMs: 2000 },
    ...options.conf,
  }
  await writeFile(conf, JSON.stringify(values))
  const enter = options.netns === undefined ? [] : ['ip', 'netns', 'exec', options.netns]
  const [command = '', ...args] = [...enter, process.execPath, RUNNER, conf]
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  const started = Promise.withResolvers<void>()
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('gateway started')) started.resolve()
    })
  }
  child.once('exit', () => started.reject(new Error(output)))
  started.promise.catch(() => {})
  const exited = once(child, 'exit')
  await started.promise
  const api = (path: string, asked?: Asked): Promise<Answer> => ask({ socketPath: socket, path }, asked)
  return {
    child,
    socket,
    port: (await api('/v1/status')).json().ingress.port,
    output: () => output,
    api,
    async memoryKib(line) {
      const text = await readFile(`/proc/${child.pid}/status`, 'utf8')
      return Number(new RegExp(`^${line}:\\s+(\\d+) kB`, 'm').exec(text)?.[1])
    },
    async end(signal) {
      child.kill(signal)
      const [code, by] = await exited
      return code ?? by
    },
  }
}
