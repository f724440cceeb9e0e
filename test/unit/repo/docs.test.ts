/** README.md lists every key of the conflist and of flatnet.yaml with its default, and every command; texts name no machine of ours. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { parse } from 'yaml'
import { isObject } from '../../../conf/reader.ts'
import { conflistTemplate, daemonTemplate } from '../../../conf/templates.ts'
import { inRepo } from '../../helpers/run/sources.ts'

const text = (file: string): string => readFileSync(inRepo(file), 'utf8')

/** `ipam.hostId` → 1, for each value that is no object; lists are values. */
function leaves(value: unknown, path = ''): [key: string, value: unknown][] {
  if (!isObject(value)) return [[path, value]]
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`))
}

/** Rows of one table: the keys in backquotes of the first cell, with those of the second as their defaults, in order. */
function tableAfter(marker: string): Map<string, string | undefined> {
  const [, rest = ''] = text('README.md').split(marker)
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

t.test('it is short', async (t) => {
  t.ok(text('README.md').split('\n').length <= 151)
})

t.test('no paths of a workplace, no hosts of registries', async (t) => {
  for (const file of [
    'README.md',
    'CHANGELOG.md',
    'docs/errors.md',
    'docs/operations.md',
    'docs/decisions.md',
  ]) {
    t.notMatch(text(file), /\/work\/|\/home\/|registry\.|docker\.io|ghcr\.io|quay\.io/, file)
  }
})
