/** Other executables, a port that another program has, and a person who wants no UDP path. */
import {
  copyFileSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { TestHost } from '../helpers/cluster/hosts.ts'
import {
  becomesDirect,
  directAgain,
  failures,
  metricsTo,
  PATIENCE_MS,
  p2pPair,
  p2pPid,
  pathTo,
  requestsTo,
  retryAt,
  worstGap,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { keepsBound } from '../helpers/run/bound.ts'
import { waitFor } from '../helpers/run/wait.ts'

const GAP_MS = 1_200
const FREE_MS = 30_000

const HOLDER = "require('dgram').createSocket({type:'udp6'}).bind(7443,'::',()=>console.log('up'))"

async function endBoth(host: TestHost): Promise<void> {
  const pid = p2pPid(host)
  await host.stop()
  if (pid === undefined) return
  process.kill(pid, 'SIGTERM')
  await waitFor('the P2P process has ended', PATIENCE_MS, () => p2pPid(host) === undefined)
}

const hasSocket = ({ ns }: TestHost): boolean => ns.exec('ss', '-Hlun').includes(':7443 ')

t.test('two hosts with a direct path', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { one, two, apple, berry } = pair
  await becomesDirect(pair)
  const served = (): void => {
    t.equal(apple.ns.exec('curl', '-sS', '-m', '5', `http://${berry.ip}/`), 'berry on host 2\n')
  }

  await t.test('the executable is replaced and the gateway restarted under load', async (t) => {
    const program = join(one.dir, 'flatnet')
    copyFileSync('dist/flatnet', program)
    t.teardown(() => rmSync(program, { force: true }))
    const begin = () => one.start({ executable: program })
    await endBoth(one)
    await begin()
    await directAgain(pair)
    const pid = p2pPid(one) ?? 0
    await keepsBound(t, 'worst gap', GAP_MS, async () => {
      await directAgain(pair)
      const requests = requestsTo(pair, 100)
      await requests.answered(50)
      // As `flatnet install` does it: another file under the same name, by a rename.
      const inode = statSync(program).ino
      copyFileSync('dist/flatnet', `${program}.new`)
      renameSync(`${program}.new`, program)
      t.not(statSync(program).ino, inode)
      await one.stop()
      t.same(metricsTo(one, 2), [100, 200], 'packets go on without a gateway')
      await begin()
      await becomesDirect(pair)
      t.equal(p2pPid(one), pid, 'the running process was adopted')
      t.match(readlinkSync(`/proc/${pid}/exe`), / \(deleted\)$/, 'and is the old file still')
      await requests.answered(300)
      const answers = await requests.stop()
      t.same(failures(answers), [], `none of ${answers.length} requests failed`)
      return worstGap(answers)
    })
    process.kill(pid, 'SIGKILL')
    // First: for a moment all looks as it was before.
    await waitFor('another process runs', PATIENCE_MS, () => ![undefined, pid].includes(p2pPid(one)))
    await directAgain(pair)
    t.notMatch(readlinkSync(`/proc/${p2pPid(one)}/exe`), /deleted/, 'the next one is the new file')
    await endBoth(one)
    await one.start()
    await directAgain(pair)
  })

  await t.test('another program has the UDP port', async (t) => {
    await keepsBound(t, 'direct after the port was free', FREE_MS, async () => {
      await endBoth(one)
      const holder = one.spawn(process.execPath, '-e', HOLDER)
      await waitFor('it has the port', PATIENCE_MS, () => hasSocket(one))
      await one.start()
      const reason = await waitFor('host 1 says so', PATIENCE_MS, async () => {
        const { state, p2p } = await pathTo(one, 2)
        return state !== 'P2P_ACTIVE' && p2p !== undefined && /7443|in use/.test(p2p.reason) && p2p.reason
      })
      t.comment(`host 1 says: ${reason}`)
      t.match(await one.ok('status'), /7443|in use/, 'flatnet status says so too')
      t.same(metricsTo(one, 2), [200])
      served()
      holder.kill('SIGKILL')
      const began = performance.now()
      await becomesDirect(pair)
      return performance.now() - began
    })
  })

  /** Changes flatnet.yaml and has the gateway read it, as `systemctl kill -s HUP flatnet-gateway` does. */
  const reload = (from: string, to: string): void => {
    const file = join(one.dir, 'flatnet.yaml')
    const conf = readFileSync(file, 'utf8')
    if (!conf.includes(from)) throw new Error(`flatnet.yaml has no ${from}`)
    writeFileSync(file, conf.replace(from, to))
    one.signal('SIGHUP')
  }

  for (const [what, from, to, said] of [
    ['p2p.hosts: { 2: off }', '\n  hosts: {}\n', '\n  hosts: { 2: off }\n', /off here \(p2p.hosts\)/],
    ['p2p.enabled: false', '\np2p:\n  enabled: true\n', '\np2p:\n  enabled: false\n', /off on this host/],
  ] as const)
    await t.test(`${what}, then SIGHUP`, async (t) => {
      await keepsBound(t, 'worst gap', GAP_MS, async () => {
        await directAgain(pair)
        const requests = requestsTo(pair, 100)
        await requests.answered(50)
        reload(from, to)
        const reason = await waitFor('host 1 says so, and no route is left', PATIENCE_MS, async () => {
          const { p2p } = await pathTo(one, 2)
          const isLeft = ![metricsTo(one, 2), metricsTo(two, 1)].flat().includes(100)
          return isLeft && p2p !== undefined && said.test(p2p.reason) && p2p.reason
        })
        const answers = await requests.stop()
        t.comment(`host 1: ${reason}; host 2: ${(await pathTo(two, 1)).reason}`)
        t.same(failures(answers), [], `none of ${answers.length} requests failed`)
        await retryAt(pair)
        const until = performance.now() + 3_000
        await waitFor('3 s have passed', PATIENCE_MS, () => {
          if ([metricsTo(one, 2), metricsTo(two, 1)].flat().includes(100)) t.fail('a direct route came back')
          return performance.now() > until
        })
        if (to.includes('false'))
          await waitFor(
            'no process and no socket',
            PATIENCE_MS,
            () => p2pPid(one) === undefined && !hasSocket(one),
          )
        served()
        reload(to, from)
        await directAgain(pair)
        return worstGap(answers)
      })
    })
})
