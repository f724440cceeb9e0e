/** What a unit test may not do: open a socket, sleep, or wait for a program. Such a file belongs in test/loopback. */
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { inRepo, sources } from '../../helpers/run/sources.ts'

interface Banned {
  readonly what: string
  readonly found: RegExp
}

/** Types may be imported from anywhere: they open nothing. */
const VALUES = String.raw`^import (?!type )(?=[^'\n]*(?:\{ (?!type )|, (?!type )|\w+ from|\* as))[^']*'`

const BANNED: readonly Banned[] = [
  { what: 'sockets', found: new RegExp(`${VALUES}node:(?:net|tls|dgram|https|http2)'`, 'm') },
  { what: 'an HTTP server or client', found: new RegExp(`${VALUES}node:http'`, 'm') },
  { what: 'fetch', found: /\bfetch\(/ },
  { what: 'a sleep', found: /\bsetTimeout\b|\bsetInterval\b|Atomics\.wait\b/ },
  { what: 'a program that runs beside it', found: /\b(?:spawn|fork|execFile)\(/ },
]

/** `file` and every file of test/ that it imports, directly or not. */
function withHelpers(file: string, known = new Set<string>()): Set<string> {
  if (known.has(file)) return known
  known.add(file)
  for (const [, path = ''] of readFileSync(inRepo(file), 'utf8').matchAll(/^import [^']*'(\.[^']*)'/gm)) {
    const target = join(dirname(file), path)
    if (target.startsWith('test/')) withHelpers(target, known)
  }
  return known
}

/** What the text does of the list; comments do not count. */
function does(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
  return BANNED.filter(({ found }) => found.test(code)).map(({ what }) => what)
}

t.test('the rule sees what it is for, and no more', async (t) => {
  t.same(does("import { connect } from 'node:net'"), ['sockets'])
  t.same(does("import { type AddressInfo, connect } from 'node:net'"), ['sockets'])
  t.same(does("import net from 'node:net'"), ['sockets'])
  t.same(does("import { createServer, type IncomingMessage } from 'node:http'"), ['an HTTP server or client'])
  t.same(does("import { setTimeout as pause } from 'node:timers/promises'"), ['a sleep'])
  t.same(does("const child = spawn('sleep', ['1'])"), ['a program that runs beside it'])
  t.same(does("import type { Socket } from 'node:net'"), [])
  t.same(does("import { type AddressInfo, type Socket } from 'node:net'"), [])
  t.same(does("import { setImmediate as turn } from 'node:timers/promises'"), [])
  t.same(does("spawnSync('true') // as fork() would\n"), [])
})

t.test('no unit test opens a socket or sleeps, by itself or by a helper', async (t) => {
  const files = sources('.test.ts').filter((file) => file.startsWith('test/unit/'))
  t.ok(files.length > 50, `${files.length} files`)
  for (const file of files.filter((f) => !f.startsWith('test/unit/repo/')))
    for (const used of withHelpers(file))
      t.same(does(readFileSync(inRepo(used), 'utf8')), [], used === file ? file : `${file} by ${used}`)
})
