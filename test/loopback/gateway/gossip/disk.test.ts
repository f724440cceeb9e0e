/**
 * gateway/gossip on disk: what was saved is there for the next run; torn and foreign files are told, and their numbers
 * kept.
 */
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { diskMessages, diskOwnRequests } from '../../../../gateway/gossip/disk.ts'
import { LIFE_MS } from '../../../../gateway/gossip/envelope.ts'
import type { OwnRequest } from '../../../../gateway/gossip/own-requests.ts'
import { GossipWorld } from '../../../helpers/gateway/gossip-world.ts'

function folder(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'fgo-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  const warned: unknown[] = []
  const log = { warn: (...args: unknown[]) => void warned.push(args) }
  return { dir, files: join(dir, 'gateway/messages'), warned, log }
}

t.test('messages and what is known of them', (t) => {
  const { dir, files, log, warned } = folder(t)
  const envelope = new GossipWorld(2, []).host(1).write(2, 'words')
  const disk = diskMessages(dir, log)
  t.same(disk.load(), [])
  disk.save(`1-${envelope.seq}`, { hops: 2, envelope }, true)
  const done = { from: 7, seq: 9, expires: 5 }
  disk.save('7-9', { done }, false)
  const expired = { from: 8, seq: 3, at: 7 }
  disk.save('8-0', { expired }, false)
  t.same(disk.load(), [{ hops: 2, envelope }, { done }, { expired }])
  t.equal(statSync(join(files, '7-9.json')).mode & 0o777, 0o600)
  t.equal(statSync(files).mode & 0o777, 0o700)
  disk.remove('7-9')
  disk.remove('7-9')
  t.same(readdirSync(files), [`1-${envelope.seq}.json`, '8-0.json'])

  const whole = readFileSync(join(files, `1-${envelope.seq}.json`), 'utf8')
  writeFileSync(join(files, '1-5.json'), whole)
  writeFileSync(join(files, '1-6.json'), whole.slice(0, 100))
  writeFileSync(join(files, '1-7.json'), '')
  writeFileSync(join(files, '1-8.json'), whole.replace('"format":1', '"format":2'))
  writeFileSync(join(files, '.1-9.tmp'), whole)
  writeFileSync(join(files, 'x.json'), whole)
  writeFileSync(join(files, 'abc.json'), whole)
  const now = Date.now()
  const numbers = disk.load().flatMap((kept) => ('done' in kept ? [kept.done] : []))
  t.same(
    numbers.map(({ from, seq }) => `${from}-${seq}`),
    ['1-5', '1-6', '1-7', '1-8'],
    'one of another name, torn, empty or of another version is only a number that was here',
  )
  for (const { expires } of numbers) t.ok(Math.abs(expires - now - LIFE_MS) < 60_000)
  t.equal(disk.load().length, 6)
  t.equal(warned.length, 10, 'five each time')
  t.ok(existsSync(join(files, '1-6.json')), 'and is left for a person to look at')
  t.end()
})

t.test('requests of clients', (t) => {
  const { dir, log, warned } = folder(t)
  const disk = diskOwnRequests(dir, log)
  t.same(disk.load(), [])
  const id = 'ab'.repeat(16)
  const request: OwnRequest = {
    id,
    seq: 1,
    to: 2,
    method: 'GET',
    target: 'web/',
    host: 'web',
    at: 1,
    expires: 2,
  }
  disk.save(request)
  t.match(disk.load(), [request])
  t.same(diskMessages(dir, log).load(), [], 'and are no messages')
  disk.remove(id)
  t.same(disk.load(), [])
  t.same(warned, [])
  t.end()
})

t.test('a full disk is an error of the caller, and leaves what was there', (t) => {
  const { dir, files, log } = folder(t)
  const disk = diskMessages(dir, log)
  disk.load()
  disk.save('7-9', { done: { from: 7, seq: 9, expires: 5 } }, true)
  rmSync(files, { recursive: true })
  t.throws(() => disk.save('7-10', { done: { from: 7, seq: 10, expires: 5 } }, true), { code: 'ENOENT' })
  chmodSync(dir, 0o700)
  t.end()
})
