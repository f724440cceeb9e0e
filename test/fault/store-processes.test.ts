/** Many processes at one lease store, and processes that are killed at any instant. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import t from 'tap'
import { find } from '../../ipam/ipam.ts'
import { attachmentOf, type FakeHost, fakeHost } from '../helpers/store/lease-host.ts'

const WORKER = join(import.meta.dirname, '../helpers/store/lease-worker.ts')

const worker = (host: FakeHost, ...args: string[]) =>
  spawn(process.execPath, ['--disable-warning=ExperimentalWarning', WORKER, host.dataDir, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })

t.test('50 processes at once get 50 addresses', async (t) => {
  const host = fakeHost(t)
  const given = await Promise.all(
    Array.from({ length: 50 }, async (_, n) => {
      const child = worker(host, 'once', `c${n}`)
      const lines: string[] = []
      createInterface({ input: child.stdout as Readable }).on('line', (line) => lines.push(line))
      const [status] = await once(child, 'close')
      t.equal(status, 0)
      return lines[0]?.split(' ')[1]
    }),
  )
  t.equal(new Set(given).size, 50)
  t.same(new Set(given), new Set(host.ips()))
  t.ok(host.list().every((lease) => lease.state === 'active'))
})

t.test('kill -9 at any instant loses no lease and gives none out twice', async (t) => {
  const host = fakeHost(t)
  /** By container, as the workers said. */
  const held = new Map<string, string>()
  for (let round = 0; round < 20; round++) {
    const child = worker(host, 'loop', `r${round}-`)
    const enough = 3 + Math.floor(Math.random() * 20)
    let seen = 0
    let leaving: string | undefined
    for await (const line of createInterface({ input: child.stdout as Readable })) {
      const [id = '', ip] = line.slice(1).split(' ')
      leaving = ip === undefined ? id : undefined
      if (ip === undefined) held.delete(id)
      else {
        const other = [...held].find(([, taken]) => taken === ip)
        t.equal(other?.[0], undefined, `${id} got ${ip}`)
        held.set(id, ip)
      }
      if (++seen === enough) child.kill('SIGKILL')
    }
    for (const [id, ip] of held) t.equal(find(host.store(), attachmentOf(id))?.ip, ip, `${id} has ${ip}`)
    // Whatever it was about when it died: a lease nobody was told of, or one that was about to go.
    for (const lease of host.list()) {
      if (held.has(lease.containerId)) continue
      t.match(lease.containerId, `r${round}-`)
      if (leaving !== lease.containerId) t.equal(lease.state, 'pending')
      host.del(lease.containerId)
    }
    for (const id of [...held.keys()].slice(0, -10)) {
      host.del(id)
      held.delete(id)
    }
  }
  host.acquire('the-last')
  t.same(
    host.files().filter((name) => name.endsWith('.tmp')),
    [],
    'what they left is gone',
  )
})
