/** Links of the documents and citations in the sources that lead nowhere. `npm run check:links` finds them. */

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

const ROOT = resolve(import.meta.dirname, '../..')
/** Speak of wrong citations, so they have to write them. */
const SPEAKS_OF_THEM = ['build/check/links.ts', 'test/unit/repo/links.test.ts']

export interface Repository {
  /** Of all Markdown files and sources, by the path from the root. */
  readonly texts: ReadonlyMap<string, string>
  /** Also of folders. */
  exists(path: string): boolean
}

/** `file: what is wrong`, for every link, named file, named function and citation that does not resolve. */
export function faultsOf(repository: Repository): string[] {
  return [...repository.texts].flatMap(([file, text]) => {
    if (file.endsWith('.md')) return documentFaults(repository, file, text)
    return [...strangers(text), ...citationFaults(repository, text)].map((fault) => `${file}: ${fault}`)
  })
}

const withoutCode = (markdown: string): string => markdown.replaceAll(/^```[\s\S]*?^```/gm, '')

/** Files in backquotes, with a folder of ours before them. */
const PATH =
  /`((?:bin|build|cli|plugin|gateway|ipam|registrar|conf|kernel|netlink-ts|core|test|bench)\/[\w./-]*)`/g
/** `name`, `name` in `file.ts` */
const FUNCTIONS = /((?:`\w+`, )*`\w+`) in `([\w./-]+\.ts)`/g

function documentFaults(repository: Repository, file: string, text: string): string[] {
  const prose = withoutCode(text)
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = '']) => {
    if (/^[a-z]+:/.test(link)) return []
    return targetFaults(repository, link.startsWith('#') ? `${file}${link}` : join(dirname(file), link))
  })
  const paths = [...prose.matchAll(PATH)].flatMap(([, path = '']) => targetFaults(repository, path))
  const functions = [...prose.matchAll(FUNCTIONS)].flatMap(([, names = '', path = '']) =>
    [...names.matchAll(/`(\w+)`/g)].flatMap(([, name = '']) => functionFaults(repository, name, path)),
  )
  return [...links, ...paths, ...functions].map((fault) => `${file}: ${fault}`)
}

function functionFaults({ texts }: Repository, name: string, path: string): string[] {
  return new RegExp(String.raw`\b${name}\b`).test(texts.get(path) ?? '') ? [] : [`${path} has no ${name}`]
}

/** @param target `path` or `path#anchor` */
function targetFaults({ texts, exists }: Repository, target: string): string[] {
  const [path = '', anchor] = target.split('#')
  if (!exists(path)) return [`there is no ${path}`]
  if (anchor === undefined || !path.endsWith('.md')) return []
  return anchorsOf(texts.get(path) ?? '').has(anchor) ? [] : [`${path} has no #${anchor}`]
}

/** As GitHub makes them of headings: lower case, without punctuation, blanks as hyphens; and `<a id>`. */
export function anchorsOf(text: string): Set<string> {
  const markdown = withoutCode(text)
  const headings = [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
  return new Set([...headings, ...[...markdown.matchAll(/<a id="([^"]+)"><\/a>/g)].map(([, id = '']) => id)])
}

/** Papers that only their authors had. */
const STRANGER = /\b(?:DESIGN|STYLE|HOUSE)(?:\.md)? ?\d[\d.]*|facts(?:\/\w+\.md|: CNI| \d)[\w. ]*/g

const strangers = (text: string): string[] =>
  [...text.matchAll(STRANGER)].map(([citation]) => `cites ${citation.trim()}, which is not in the repository`)

/** `docs/page.md#anchor, #another to #last` */
const CITATION = /\b(docs\/[\w./-]+\.(?:md|json|svg)(?:#[\w-]+)?)((?:,? (?:and |to )?#[\w-]+)*)/g

function citationFaults(repository: Repository, text: string): string[] {
  return [...text.matchAll(CITATION)].flatMap(([, target = '', more = '']) => {
    const [path] = target.split('#')
    const anchors = [...more.matchAll(/#[\w-]+/g)].map(([anchor]) => `${path}${anchor}`)
    return [target, ...anchors].flatMap((one) => targetFaults(repository, one))
  })
}

/** The files that git knows or would add. */
export function repositoryOnDisk(): Repository {
  const exists = (path: string) => existsSync(join(ROOT, path))
  const list = execFileSync(
    'git',
    ['ls-files', '-co', '--exclude-standard', '*.ts', '*.md', 'biome.json', 'conf/*'],
    {
      cwd: ROOT,
      encoding: 'utf8',
    },
  )
  const files = list
    .trim()
    .split('\n')
    .filter((file) => exists(file) && !SPEAKS_OF_THEM.includes(file))
  return { exists, texts: new Map(files.map((file) => [file, readFileSync(join(ROOT, file), 'utf8')])) }
}

if (import.meta.main) {
  const faults = faultsOf(repositoryOnDisk())
  for (const fault of faults) process.stderr.write(`${fault}\n`)
  if (faults.length > 0) process.exitCode = 1
}
