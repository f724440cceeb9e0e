/**
 * An error that was not caught: it is in the log file, and the gateway ends for the service manager to start another.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ROOT } from '../../../helpers/run/executable.ts'
import { waitFor } from '../../../helpers/run/wait.ts'

const BOMB = `data:text/javascript,process.once('SIGUSR2',()=>{throw new Error('boom')})`

t.test('the log has the last word', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'flatnet-crash-'))
  const [config, file] = [join(dir, 'flatnet.yaml'), join(dir, 'gateway.log')]
  const values = {
    hostId: 1,
    dataDir: join(dir, 'data'),
    api: { socket: join(dir, 'gateway.sock') },
    ingress: { listen: '127.0.0.1:0' },
    log: { level: 'info', file },
  }
  writeFileSync(config, JSON.stringify(values))
  const args = ['--import', BOMB, join(ROOT, 'bin/flatnet.ts'), 'gateway', '--config', config]
  const child = spawn(process.execPath, args, { stdio: 'ignore' })
  t.teardown(() => {
    child.kill('SIGKILL')
    rmSync(dir, { recursive: true })
  })
  const logged = (): string => (existsSync(file) ? readFileSync(file, 'utf8') : '')
  await waitFor('it runs', 20_000, async () => logged().includes('gateway started'))
  child.kill('SIGUSR2')
  const [code] = await once(child, 'exit')
  t.equal(code, 1)
  t.match(logged(), /"msg":"gateway ends by an error that nobody caught"/)
  t.match(logged(), /boom/)
})
