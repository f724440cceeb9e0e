/** A TURN server for tests: coturn in a namespace of its own, on the switch that plays the internet. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Netns, netns } from '../kernel/netns.ts'
import { waitFor } from '../run/wait.ts'

export const TURN_IP = '192.0.2.50'
export const TURN_LOGIN = { username: 'flatnet', password: 'correct horse' } as const
/** It takes 0.2 s. */
const START_MS = 20_000
export const TURN_SECRET = 'battery staple'

export interface Coturn {
  readonly ns: Netns
  start(): Promise<void>
  /** As a crash: no client learns of it. */
  kill(): Promise<void>
}

/** coturn's long-term credentials, or its shared secret. */
const LOGIN = {
  user: ['--lt-cred-mech', `--user=${TURN_LOGIN.username}:${TURN_LOGIN.password}`],
  secret: ['--use-auth-secret', `--static-auth-secret=${TURN_SECRET}`],
} as const

interface CoturnOptions {
  /** On the switch; 192.0.2.50 unless told otherwise. */
  readonly ip?: string
  readonly login?: keyof typeof LOGIN
  readonly port?: number
  /** More of turnserver(1). */
  readonly more?: readonly string[]
  /** Of another one, which it shares. */
  readonly ns?: Netns
}

async function onSwitch(t: Pick<Test, 'teardown'>, lan: Netns, ip: string): Promise<Netns> {
  const ns = await netns(t)
  const port = `turn${ip.split(/[.:]/).at(-1)}`
  lan.exec('ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns.name)
  lan.exec('ip', 'link', 'set', port, 'master', 'lan', 'up')
  const isV6 = ip.includes(':')
  ns.exec('ip', 'addr', 'add', isV6 ? `${ip}/64` : `${ip}/24`, 'dev', 'eth0', ...(isV6 ? ['nodad'] : []))
  for (const name of ['lo', 'eth0']) ns.exec('ip', 'link', 'set', name, 'up')
  return ns
}

/** @param lan the namespace with the bridge `lan` */
export async function coturn(
  t: Pick<Test, 'teardown'>,
  lan: Netns,
  { ip = TURN_IP, login = 'user', more = [], port = 3478, ns: shared }: CoturnOptions = {},
): Promise<Coturn> {
  const ns = shared ?? (await onSwitch(t, lan, ip))
  const dir = mkdtempSync(join(tmpdir(), 'coturn-'))
  let child: ChildProcess | undefined
  const kill = async (): Promise<void> => {
    if (child === undefined) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    child = undefined
  }
  t.teardown(async () => {
    await kill()
    rmSync(dir, { recursive: true, force: true })
  })
  const options = [
    ...['-n', `--listening-port=${port}`, `--listening-ip=${ip}`, `--relay-ip=${ip}`, '--realm=test'],
    ...[
      `--min-port=${port === 3478 ? 50_000 : 51_000}`,
      '--max-port=52000',
      '--no-tls',
      '--no-dtls',
      '--no-cli',
      '--no-tcp',
    ],
    ...[
      '--relay-threads=1',
      '--log-file=/dev/null',
      '--simple-log',
      `--pidfile=${dir}/pid`,
      `--userdb=${dir}/db`,
    ],
    ...LOGIN[login],
    ...more,
  ]
  const start = async (): Promise<void> => {
    child = spawn('ip', ['netns', 'exec', ns.name, 'turnserver', ...options], { stdio: 'ignore' })
    await waitFor(
      'turnserver has its port',
      START_MS,
      () => ns.exec('ss', '-Hlun', `sport = :${port}`) !== '',
    )
  }
  await start()
  return { ns, start, kill }
}
