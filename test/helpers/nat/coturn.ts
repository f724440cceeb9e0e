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
  readonly login?: keyof typeof LOGIN
  readonly port?: number
  /** Of another one, which it shares. */
  readonly ns?: Netns
}

async function onSwitch(t: Pick<Test, 'teardown'>, lan: Netns): Promise<Netns> {
  const ns = await netns(t)
  lan.exec('ip', 'link', 'add', 'turn', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns.name)
  lan.exec('ip', 'link', 'set', 'turn', 'master', 'lan', 'up')
  ns.exec('ip', 'addr', 'add', `${TURN_IP}/24`, 'dev', 'eth0')
  for (const name of ['lo', 'eth0']) ns.exec('ip', 'link', 'set', name, 'up')
  return ns
}

/** @param lan the namespace with the bridge `lan` */
export async function coturn(
  t: Pick<Test, 'teardown'>,
  lan: Netns,
  { login = 'user', port = 3478, ns: shared }: CoturnOptions = {},
): Promise<Coturn> {
  const ns = shared ?? (await onSwitch(t, lan))
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
    ...[
      '-n',
      `--listening-port=${port}`,
      `--listening-ip=${TURN_IP}`,
      `--relay-ip=${TURN_IP}`,
      '--realm=test',
    ],
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
