/** `flatnet gateway` on SIGHUP: the new configuration whole, or the old one. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { ask } from '../../helpers/gateway/gateway-fixture.ts'
import { until } from '../../helpers/gateway/gateway-upstream.ts'
import { freePort, portHolder } from '../../helpers/run/free-port.ts'
import { scratchFolder } from '../../helpers/run/scratch.ts'

const BIN = resolve(import.meta.dirname, '../../../bin/flatnet.ts')

interface Run {
  readonly child: ChildProcess
  output(): string
  /** Writes flatnet.yaml and sends SIGHUP. */
  reload(ingress: Record<string, unknown>): void
}

function gateway(t: Pick<Test, 'teardown'>, ingress: Record<string, unknown>): Run {
  const folder = scratchFolder(t)
  const config = join(folder, 'flatnet.yaml')
  const write = (keys: Record<string, unknown>): void => {
    const values = { hostId: 1, supernet: '127.0.0.0/8', hostPrefix: 16, dataDir: join(folder, 'data') }
    writeFileSync(
      config,
      JSON.stringify({ ...values, api: { socket: join(folder, 'g.sock') }, ingress: keys }),
    )
  }
  write(ingress)
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', BIN] as const
  const [command, ...args] = [...node, 'gateway', '--config', config]
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  return {
    child,
    output: () => output,
    reload(keys) {
      write(keys)
      child.kill('SIGHUP')
    },
  }
}

const starts = (run: Run): number => run.output().split('gateway started').length - 1
const isServed = (port: number) =>
  ask({ port, path: '/' }).then(
    (a) => a.status === 200,
    () => false,
  )

t.test('whole, or not at all', async (t) => {
  const [first, second] = [await freePort(), await freePort()]
  const { server, port: taken } = await portHolder()
  t.teardown(() => void server.close())
  const run = gateway(t, { listen: `127.0.0.1:${first}` })
  await until(() => starts(run) === 1, 'it starts')

  run.reload({ listen: `127.0.0.1:${taken}` })
  await until(() => starts(run) === 2, 'it starts again')
  t.match(run.output(), /configuration could not be used, the old one is back/)
  t.match(run.output(), /something else listens there/)
  t.ok(await isServed(first), 'as before')

  run.reload({ listen: 'nonsense' })
  await until(() => run.output().includes('configuration is wrong, the old one stays'))
  t.ok(await isServed(first))

  run.reload({ listen: `127.0.0.1:${second}` })
  await until(() => starts(run) === 3, 'it starts with the new port')
  t.ok(await isServed(second))
  t.notOk(await isServed(first), 'the old port is closed')

  run.child.kill('SIGTERM')
  t.same(await once(run.child, 'close'), [0, null])
})
