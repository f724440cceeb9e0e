/** gateway/gossip on disk: what was saved is there for the next run; torn and foreign files are passed over and told. */
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
  disk.save(`1-${envelope.seq}`, { hops: 2, envelope })
  const done = { from: 7, seq: 9, expires: 5 }
  disk.save('7-9', { done })
  t.same(disk.load(), [{ hops: 2, envelope }, { done }])
  t.equal(statSync(join(files, '7-9.json')).mode & 0o777, 0o600)
  t.equal(statSync(files).mode & 0o777, 0o700)
  disk.remove('7-9')
  disk.remove('7-9')
  t.same(readdirSync(files), [`1-${envelope.seq}.json`])

  const whole = readFileSync(join(files, `1-${envelope.seq}.json`), 'utf8')
  writeFileSync(join(files, '1-5.json'), whole)
  writeFileSync(join(files, '1-6.json'), whole.slice(0, 100))
  writeFileSync(join(files, '1-7.json'), '')
  writeFileSync(join(files, '1-8.json'), whole.replace('"format":1', '"format":2'))
  writeFileSync(join(files, '.1-9.tmp'), whole)
  t.equal(disk.load().length, 1, 'one of another name, torn, empty or of another version is none')
  t.equal(warned.length, 4)
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
  disk.save('7-9', { done: { from: 7, seq: 9, expires: 5 } })
  rmSync(files, { recursive: true })
  t.throws(() => disk.save('7-10', { done: { from: 7, seq: 10, expires: 5 } }), { code: 'ENOENT' })
  chmodSync(dir, 0o700)
  t.end()
})
