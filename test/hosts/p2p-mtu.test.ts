/** Underlays that carry less than they say: no promotion, or away within seconds, and a transfer that goes on. */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { becomesDirect, directAgain, PATIENCE_MS, p2pPair, pathTo } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { keepsBounds } from '../helpers/run/bound.ts'
import { waitFor } from '../helpers/run/wait.ts'

const MOVED_MS = 3_000

t.test('datagrams above 1,200 bytes vanish', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { one, apple, berry, faults } = pair
  writeFileSync(join(berry.www, 'mebibyte'), randomBytes(1024 * 1024))
  const download = async (): Promise<number> => {
    const began = performance.now()
    const curl = apple.spawn('curl', '-sS', '-m', '30', '-o', '/dev/null', `http://${berry.ip}/mebibyte`)
    await new Promise((resolve) => curl.once('exit', resolve))
    t.equal(curl.exitCode, 0, 'the download ended whole')
    return performance.now() - began
  }
  await keepsBounds(t, { '1 MiB moved': MOVED_MS, '1 MiB moved then': MOVED_MS }, async () => {
    await directAgain(pair)
    faults.dropLarge(1, 2, 1_200)
    faults.dropLarge(2, 1, 1_200)
    const moved = await download()
    // Either it left UDP, or UDP goes on in datagrams that fit; both carry the next download at once.
    await waitFor('the path has an answer', PATIENCE_MS, async () => {
      const info = await pathTo(one, 2)
      return info.state !== 'P2P_ACTIVE' || (info.p2p?.mtu ?? 1_500) <= 1_280
    })
    return { '1 MiB moved': moved, '1 MiB moved then': await download() }
  })
})

t.test('the path shrinks in the middle of a transfer', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { net, apple, berry } = pair
  writeFileSync(join(berry.www, 'large'), randomBytes(64 * 1024 * 1024))
  await becomesDirect(pair)
  const curl = apple.spawn(
    'curl',
    '-sS',
    '-m',
    '60',
    '--limit-rate',
    '16M',
    '-o',
    join(apple.www, 'got'),
    `http://${berry.ip}/large`,
  )
  const ended = new Promise((resolve) => curl.once('exit', resolve))
  await waitFor('it has begun', PATIENCE_MS, () => {
    const size = Number(
      apple.host.ns.exec('sh', '-c', `stat -c %s ${join(apple.www, 'got')} 2>/dev/null || echo 0`),
    )
    return size > 4_000_000
  })
  for (const host of net.hosts.slice(0, 2)) host.ns.exec('ip', 'link', 'set', 'eth0', 'mtu', '1300')
  await ended
  t.equal(curl.exitCode, 0, 'the transfer ended whole')
  apple.host.ns.exec('cmp', join(apple.www, 'got'), join(berry.www, 'large'))
})
