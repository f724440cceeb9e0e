/**
 * gateway/replication/table-files: tables of others come back as they were kept; broken files are named and passed
 * over.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { StoredTable } from '../../../../gateway/replication/deps.ts'
import { diskTables, loadTables } from '../../../../gateway/replication/table-files.ts'

const table = (hostId: number, part: Partial<StoredTable> = {}): StoredTable => ({
  hostId,
  keyId: 'ab',
  known: { epoch: 5, nonce: 'c'.repeat(32), superseded: ['d'.repeat(32)] },
  signed: {
    hostId,
    epoch: 5,
    seq: 2,
    nonce: 'c'.repeat(32),
    hash: 'e'.repeat(64),
    sig: 'AAAA',
    key: 'AAAA',
  },
  ageMs: 1000,
  quarantine: undefined,
  records: [['flatnet', 'c1']],
  ...part,
})

t.test('kept, replaced, removed', async (t) => {
  const dir = t.testdir()
  const fail = (path: string): void => void t.fail(path)
  const store = diskTables(dir)
  t.same(await loadTables(dir, fail), [], 'no folder yet')
  await store.save(table(2))
  await store.save(table(2, { ageMs: 9 }))
  const kept = table(30, { signed: undefined, quarantine: { reason: 'two machines', since: 'now' } })
  await store.save(kept)
  const byHost = (a: StoredTable, b: StoredTable): number => a.hostId - b.hostId
  t.same((await loadTables(dir, fail)).sort(byHost), [table(2, { ageMs: 9 }), kept])
  await store.remove(2)
  await store.remove(2)
  t.same(await loadTables(dir, fail), [kept])
  t.same(readdirSync(join(dir, 'gateway', 'peers')), ['30.json'])
})

t.test('what is broken', async (t) => {
  const dir = t.testdir()
  const folder = join(dir, 'gateway', 'peers')
  mkdirSync(folder, { recursive: true })
  const good = { format: 1, ...table(7) }
  const broken: unknown[] = [
    [],
    { ...good, format: 2 },
    { ...good, hostId: '7' },
    { ...good, known: {} },
    { ...good, known: { ...good.known, superseded: [1] } },
    { ...good, signed: { ...good.signed, hash: 'x' } },
    { ...good, records: 7 },
    { ...good, ageMs: -1 },
  ]
  for (const [i, value] of broken.entries())
    writeFileSync(join(folder, `${i + 1}.json`), JSON.stringify(value))
  writeFileSync(join(folder, '100.json'), '{"format":1,')
  writeFileSync(join(folder, '.7.tmp'), 'left over')
  const bad: string[] = []
  t.same(await loadTables(dir, (path) => bad.push(path)), [])
  t.equal(bad.length, broken.length + 1)
})
