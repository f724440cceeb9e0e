/** Starts a gateway on a host of hosts.ts without /dev/net/tun, as in a container without that device. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'
import { ROOT } from '../run/executable.ts'
import { waitFor } from '../run/wait.ts'
import type { TestHost } from './hosts.ts'

/** `ip netns exec` makes a mount namespace below the machine's, so this mount stays inside. */
const HIDE = 'mount -t tmpfs none /dev/net && exec "$@"'

/** The gateway lives until the test ends. */
export async function startWithoutTun(t: Pick<Test, 'teardown'>, host: TestHost): Promise<void> {
  const flatnet = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    join(ROOT, 'bin/flatnet.ts'),
    'gateway',
    '--config',
    join(host.dir, 'flatnet.yaml'),
  ]
  const child = spawn('ip', ['netns', 'exec', host.ns.name, 'sh', '-c', HIDE, 'sh', ...flatnet], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: ROOT,
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
  t.teardown(async () => {
    if (child.exitCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  })
  await waitFor(`the gateway of host ${host.index} answers`, 30_000, async () => {
    if (child.exitCode !== null) throw new Error(`exit ${child.exitCode}: ${log}`)
    return (await host.api('/v1/status')).pid === child.pid
  })
}
