/** Links of the documents and citations in the sources lead to a file, and to an anchor in it; named functions exist. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { inRepo, sources } from '../../helpers/run/sources.ts'

const text = (file: string): string => readFileSync(inRepo(file), 'utf8')
const isThere = (path: string): boolean => existsSync(inRepo(path))

const documents = [
  '.',
  'docs',
  'docs/architecture',
  'docs/decisions',
  'ipam',
  'netlink-ts',
  'test',
  '.github',
]
  .filter(isThere)
  .flatMap((dir) => readdirSync(inRepo(dir)).map((name) => join(dir, name)))
  .filter((name) => name.endsWith('.md'))

const withoutCode = (markdown: string): string => markdown.replaceAll(/^```[\s\S]*?^```/gm, '')

/** As GitHub makes them: lower case, without punctuation, blanks as hyphens; and `<a id>`. */
function anchorsOf(file: string): Set<string> {
  const markdown = withoutCode(text(file))
  const headings = [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
  const named = [...markdown.matchAll(/<a id="([^"]+)"><\/a>/g)].map(([, id = '']) => id)
  return new Set([...headings, ...named])
}

/** @returns what is wrong with `path#anchor`; undefined: nothing */
function fault(target: string): string | undefined {
  const [path = '', anchor] = target.split('#')
  if (!isThere(path)) return `${path}: no such file`
  if (anchor === undefined || !path.endsWith('.md')) return undefined
  return anchorsOf(path).has(anchor) ? undefined : `${path}: no anchor #${anchor}`
}

t.test('links between documents', async (t) => {
  let found = 0
  for (const file of documents) {
    for (const [, link = ''] of withoutCode(text(file)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue
      found++
      const path = link.startsWith('#') ? `${file}${link}` : join(dirname(file), link)
      t.equal(fault(path), undefined, `${file}: ${link}`)
    }
  }
  t.ok(found > 120)
})

/** In backquotes, with a folder of ours before it. */
const PATH =
  /`((?:bin|build|cli|plugin|gateway|ipam|registrar|conf|kernel|netlink-ts|core|test|bench)\/[\w./-]*)`/g

t.test('files that documents name', async (t) => {
  let found = 0
  for (const file of documents) {
    for (const [, path = ''] of withoutCode(text(file)).matchAll(PATH)) {
      found++
      t.ok(isThere(path), `${file}: ${path}`)
    }
  }
  t.ok(found > 100)
})

t.test('functions that the walks name are in their files', async (t) => {
  let found = 0
  for (const [, names = '', path = ''] of text('docs/architecture/overview.md').matchAll(
    /((?:`\w+`, )*`\w+`) in `([\w./-]+\.ts)`/g,
  )) {
    for (const [, name = ''] of names.matchAll(/`(\w+)`/g)) {
      found++
      t.match(text(path), new RegExp(`\\b${name}\\b`), `${name} in ${path}`)
    }
  }
  t.ok(found > 30)
})

t.test('citations in the sources', async (t) => {
  const files = [...sources(), 'biome.json', ...readdirSync(inRepo('conf')).map((name) => `conf/${name}`)]
  let found = 0
  for (const file of files.filter((name) => statSync(inRepo(name)).isFile())) {
    const lines = text(file)
    t.notMatch(
      lines,
      /\b(?:DESIGN|STYLE|HOUSE)(?:\.md)? ?\d|facts(?:\/\w+\.md|: CNI| \d)/,
      `${file}: not in the repository`,
    )
    for (const [, target = '', more = ''] of lines.matchAll(
      /\b(docs\/[\w./-]+\.(?:md|json|svg)(?:#[\w-]+)?)((?:,? (?:and |to )?#[\w-]+)*)/g,
    )) {
      found++
      t.equal(fault(target), undefined, `${file}: ${target}`)
      const [path] = target.split('#')
      for (const [anchor] of more.matchAll(/#[\w-]+/g))
        t.equal(fault(`${path}${anchor}`), undefined, `${file}: ${anchor}`)
    }
  }
  t.ok(found > 100)
})
