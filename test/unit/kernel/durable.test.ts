/** kernel/durable.ts: files replaced as a whole, and what killed writers leave. */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { bootId } from '../../../kernel/boot.ts'
import { processIsAlive, replaceFile, replaceSymlink, sweepTemps } from '../../../kernel/durable.ts'
import { killAt } from '../../helpers/cni/kill-at.ts'

t.test('a file is replaced as a whole', async (t) => {
  for (const fsync of [true, false]) {
    const folder = t.testdir({ state: 'old' })
    const path = join(folder, 'state')
    replaceFile(path, 'new', { fsync })
    t.equal(readFileSync(path, 'utf8'), 'new')
    t.same(readdirSync(folder), ['state'])
  }
})

t.test('killed at any change, the file has the old content or the new', async (t) => {
  let n = 1
  for (; ; n++) {
    const folder = t.testdir({ state: 'old' })
    const path = join(folder, 'state')
    if (!killAt(n, () => replaceFile(path, 'new', { fsync: true }))) break
    t.match(readFileSync(path, 'utf8'), /^(old|new)$/, `change ${n}`)
    sweepTemps(folder)
    t.same(readdirSync(folder), ['state'], 'what it left is removed when met')
  }
  t.ok(n > 5)
})

t.test('the mode of a new file', async (t) => {
  const path = join(t.testdir(), 'secret')
  replaceFile(path, '', { fsync: false, mode: 0o600 })
  t.equal(statSync(path).mode & 0o777, 0o600)
})

t.test('what fails leaves nothing behind', async (t) => {
  const folder = t.testdir({ state: { 'is-a-folder': '' } })
  t.throws(() => replaceFile(join(folder, 'state'), 'new', { fsync: true }), { code: 'EISDIR' })
  t.throws(() => replaceSymlink(join(folder, 'state'), 'x'), { code: 'EISDIR' })
  t.same(readdirSync(folder), ['state'])
  t.throws(() => replaceFile(join(folder, 'missing/state'), 'new', { fsync: true }), { code: 'ENOENT' })
})

t.test('a symlink takes the place of whatever has its name', async (t) => {
  const folder = t.testdir({ name: 'file' })
  replaceSymlink(join(folder, 'name'), '10.0.0.1')
  replaceSymlink(join(folder, 'name'), '10.0.0.2')
  t.equal(readlinkSync(join(folder, 'name')), '10.0.0.2')
})

t.test('left-over temp files', async (t) => {
  const dead = spawnSync('true').pid
  const folder = t.testdir({
    [`.a.${dead}.0.tmp`]: '',
    [`.a.${process.pid}.7.tmp`]: '',
    '.a.tmp': '',
    'a.1.2.tmp': '',
  })
  t.same(
    sweepTemps(folder, processIsAlive),
    [`.a.${dead}.0.tmp`],
    'without the lock those of the living stay',
  )
  t.same(sweepTemps(folder), [`.a.${process.pid}.7.tmp`])
  t.same(readdirSync(folder).sort(), ['.a.tmp', 'a.1.2.tmp'], 'files of other programs stay')
})

t.test('the boot id is a UUID and stays', async (t) => {
  t.match(bootId(), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
  t.equal(bootId(), bootId())
})
