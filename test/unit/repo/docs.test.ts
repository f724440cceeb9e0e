/** docs/configuration.md lists every key with its default; the documents name no machine of ours and stay short. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { conflistTemplate, daemonTemplate } from '../../../conf/templates.ts'
import { isObject } from '../../../core/json.ts'
import { inRepo } from '../../helpers/run/sources.ts'

const text = (file: string): string => readFileSync(inRepo(file), 'utf8')

/** `ipam.hostId` → 1, for each value that is no object; lists are values. */
function leaves(value: unknown, path = ''): [key: string, value: unknown][] {
  if (!isObject(value)) return [[path, value]]
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`))
}

/**
 * Rows of one table: the keys in backquotes of the first cell, with those of the second as their defaults, in order.
 */
function tableAfter(marker: string): Map<string, string | undefined> {
  const [, rest = ''] = text('docs/configuration.md').split(marker)
  const [table = ''] = rest.match(/(?:^\|.*\n)+/m) ?? []
  const quoted = (cell: string) => [...cell.matchAll(/`([^`]*)`/g)].map((m) => m[1] ?? '')
  return new Map(
    table.split('\n').flatMap((line) => {
      const [, keys = '', values = ''] = line.split('|')
      return quoted(keys).map((key, i): [string, string | undefined] => [key, quoted(values)[i]])
    }),
  )
}

t.test('keys of the conflist', async (t) => {
  const rows = tableAfter('Network, `/etc/cni')
  const [plugin] = JSON.parse(conflistTemplate()).plugins
  const { type: _type, capabilities: _capabilities, ...keys } = plugin
  for (const [key, value] of leaves(keys)) t.equal(rows.get(key), JSON.stringify(value), key)
})

t.test('keys of flatnet.yaml', async (t) => {
  const rows = tableAfter('Gateway, `/etc/flatnet')
  for (const [key] of leaves(parse(daemonTemplate()))) t.ok(rows.has(key), key)
  for (const key of [
    'reconcileMs',
    'ingress.listen',
    'ingress.drainMs',
    'ingress.maxHeaderBytes',
    'log.level',
  ]) {
    t.equal(rows.get(key), String(leaves(parse(daemonTemplate())).find(([k]) => k === key)?.[1]), key)
  }
})

t.test('README.md is short', async (t) => {
  t.ok(text('README.md').split('\n').length <= 151)
})

const decisions = readdirSync(inRepo('docs/decisions')).filter((name) => name !== 'README.md')

t.test('a decision is at most 25 lines, dated, and in the index', async (t) => {
  const index = text('docs/decisions/README.md')
  for (const name of decisions) {
    const lines = text(`docs/decisions/${name}`).trimEnd().split('\n')
    t.match(name, /^\d{4}-[a-z\d-]+\.md$/)
    t.ok(lines.length <= 25, `${name}: ${lines.length} lines`)
    t.match(lines[0], new RegExp(`^# ${name.slice(0, 4)} \\w`), name)
    t.match(lines[2], /^\d{4}-\d\d-\d\d · [a-z ]+$/, name)
    t.ok(index.includes(`](${name})`), `${name} in the index`)
  }
  t.equal(new Set(decisions.map((name) => name.slice(0, 4))).size, decisions.length, 'each number once')
})

/** Every Markdown file of the repository, as paths from the root. */
const documents = ['', 'docs', 'ipam', 'netlink-ts', 'test']
  .filter((dir) => existsSync(inRepo(dir)))
  .flatMap((dir) =>
    readdirSync(inRepo(dir), { recursive: dir === 'docs', encoding: 'utf8' }).map((name) => join(dir, name)),
  )
  .filter((name) => name.endsWith('.md'))

t.test('no paths of a workplace, no hosts of registries', async (t) => {
  t.ok(documents.length > 50)
  for (const file of documents)
    t.notMatch(text(file), /\/work\/|\/home\/|registry\.npm|docker\.io|ghcr\.io|quay\.io/, file)
})
