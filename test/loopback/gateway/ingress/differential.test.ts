/** One corpus through Flatnet, nginx and Caddy: equal verdicts, or a reason for each difference. */

import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { CORPUS, DIFFERENCES } from '../../../fixtures/ingress-corpus.ts'
import { CorpusContainer, verdictOf } from '../../../helpers/gateway/exchanged.ts'
import { ask, jsonBody } from '../../../helpers/gateway/gateway-fixture.ts'
import { assignmentOf } from '../../../helpers/gateway/gateway-samples.ts'
import { isInstalled, type OtherProxy, startProxy } from '../../../helpers/gateway/other-proxies.ts'
import { cliExecutable } from '../../../helpers/run/executable.ts'
import { freePort } from '../../../helpers/run/free-port.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

const folder = scratchFolder(t)
const container = await CorpusContainer.start(t)
const [cidr = ''] = container.at.ips
const to = `${cidr.split('/')[0]}:${container.at.httpPort}`

async function startFlatnet(): Promise<number> {
  const port = await freePort()
  const socket = join(folder, 'gateway.sock')
  const conf = {
    hostId: 1,
    supernet: '127.0.0.0/8',
    hostPrefix: 16,
    dataDir: join(folder, 'data'),
    api: { socket },
    ingress: { listen: `127.0.0.1:${port}` },
    log: { file: join(folder, 'gateway.log') },
    // Registered without a lease, which a comparison would take back.
    reconcileMs: 3_600_000,
  }
  writeFileSync(join(folder, 'flatnet.yaml'), JSON.stringify(conf))
  const child = spawn(cliExecutable().path, ['gateway', '--config', join(folder, 'flatnet.yaml')], {
    stdio: 'ignore',
  })
  t.teardown(() => child.kill('SIGKILL'))
  const body = jsonBody(assignmentOf({ name: 'web', ...container.at }))
  const endAt = performance.now() + 30_000
  for (;;) {
    const answer = await ask(
      { socketPath: socket, path: '/v1/assignments' },
      { method: 'POST', ...body },
    ).catch((err: Error) => err)
    if (!(answer instanceof Error)) {
      if (answer.status !== 201) throw new Error(answer.body)
      return port
    }
    if (performance.now() > endAt) throw answer
    await sleep(50)
  }
}

t.test('Flatnet has each verdict of the corpus', async (t) => {
  const port = await startFlatnet()
  for (const exchanged of CORPUS)
    t.equal(await verdictOf(port, container, exchanged), exchanged.verdict, exchanged.name)
})

const PROXIES = ['nginx', 'caddy'] as const satisfies OtherProxy[]

// The verdicts above are judged everywhere; other proxies are asked whether they agree where they are installed.
t.comment(`not installed: ${PROXIES.filter((proxy) => !isInstalled(proxy)).join(', ') || 'none'}`)
for (const proxy of PROXIES.filter(isInstalled)) {
  t.test(`${proxy} has the same, or there is a reason`, async (t) => {
    const port = await startProxy(t, proxy, folder, to)
    for (const exchanged of CORPUS) {
      if (exchanged.isRace === true) continue
      const verdict = await verdictOf(port, container, exchanged)
      const reason = DIFFERENCES[proxy][exchanged.name]
      if (reason === undefined) t.equal(verdict, exchanged.verdict, exchanged.name)
      else t.not(verdict, exchanged.verdict, `${exchanged.name}: ${reason}`)
    }
  })
}
