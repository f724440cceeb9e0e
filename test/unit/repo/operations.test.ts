/** docs/operations explains every state and reason that the software prints, and names commands that exist. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { cli } from '../../../cli/cli.ts'
import { PATH_STATES } from '../../../core/api.ts'
import { P2P_WORDS, PEER_WORDS } from '../../../gateway/paths/escalation/reasons.ts'
import { PathReason } from '../../../gateway/paths/reasons.ts'
import { fakeHost } from '../../helpers/gateway/fake-host.ts'
import { inRepo, operationsText, sources } from '../../helpers/run/sources.ts'

const text = (file: string): string => readFileSync(inRepo(file), 'utf8')
const operations = operationsText()

/** In backquotes, which is how the tables write what is printed. */
const quoted = [...operations.matchAll(/`([^`\n]+)`/g)].map((m) => m[1] ?? '')

t.test('the index leads to every page, and to the four set-ups', async (t) => {
  const index = text('docs/operations.md')
  for (const page of readdirSync(inRepo('docs/operations')))
    t.ok(index.includes(`](operations/${page}`), page)
  for (const setUp of ['lan-only', 'internet-with-a-hub', 'no-hub', 'everything'])
    t.ok(index.includes(`](operations/set-ups.md#${setUp})`), setUp)
})

t.test('states of a path', async (t) => {
  for (const state of PATH_STATES) t.ok(quoted.includes(state), state)
})

t.test('reasons of a path', async (t) => {
  for (const reason of Object.values(PathReason)) {
    t.ok(
      quoted.some((q) => q === reason || q.startsWith(`${reason}: `) || q.startsWith(`${reason} N: `)),
      reason,
    )
  }
})

t.test('reasons of the UDP path', async (t) => {
  for (const reason of [...Object.values(P2P_WORDS), ...Object.values(PEER_WORDS)])
    t.ok(
      quoted.some((q) => q === reason || q.startsWith(`${reason}: `)),
      reason,
    )
})

t.test('the decider has no words of its own besides', async (t) => {
  const code = text('gateway/paths/decide.ts').replaceAll(/\/\*\*[\s\S]*?\*\//g, '')
  const all = [...code.matchAll(/'[^'\n]*'|`[^`\n]*`/g)].map(([literal]) => literal)
  const own = all.filter((literal) => literal.includes(' '))
  t.ok(own.length >= 2)
  for (const literal of own) {
    t.match(literal, /^`\$\{PathReason\.\w+\}|^`\$\{quarantine\}; flatnet hosts release/, literal)
  }
})

t.test('findings of doctor about direct paths', async (t) => {
  const files = sources().filter((file) =>
    /^cli\/doctor\/(?:direct|conntrack|p2p-\w+|udp-\w+)\.ts$/.test(file),
  )
  const ids = files.flatMap((file) =>
    [...text(file).matchAll(/\b(?:ok|warn|fail)\(\s*'([\w-]+)'/g)].map((m) => m[1] ?? ''),
  )
  t.ok(new Set(ids).size >= 9, `${new Set(ids).size} are found`)
  for (const id of ids) t.ok(quoted.includes(id), id)
})

/** What stays of a literal when the values are taken out: `host ${id} has left` is `host `, ` has left`. */
const pieces = (literal: string): string[] =>
  literal
    .split(/\$\{(?:[^{}]|\{[^{}]*\})*\}/)
    .map((piece) => piece.trim())
    .filter((piece) => piece.length > 4)

/** Literals that the pattern's first group finds in these sources. */
const literals = (files: readonly string[], ...patterns: readonly RegExp[]): string[] =>
  files.flatMap((file) => patterns.flatMap((p) => [...text(file).matchAll(p)].map((m) => m[1] ?? '')))

t.test('problems of a TURN server', async (t) => {
  const rows = [...text('docs/operations/turn.md').matchAll(/^\| (`[^|\n]+`) \|/gm)].flatMap((m) =>
    [...(m[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, problem = '']) => problem),
  )
  const found = [
    ...literals(['gateway/dataplane/nat/turn/problems.ts'], /\bproblem: '([^']+)'/g, /\bproblem: `([^`]+)`/g),
    ...literals(
      ['gateway/dataplane/p2p/turn-lookup.ts'],
      /(?:name|file)Problem\('([^']+)'/g,
      /(?:name|file)Problem\(`([^`]+)`/g,
    ),
  ]
  t.ok(found.length >= 16, `${found.length} are found in the sources`)
  for (const literal of found) {
    const row = literal.replaceAll(/\$\{[^{}]*\}/g, '…')
    t.ok(rows.includes(row), row)
  }
})

const said: Readonly<Record<string, { readonly found: readonly string[]; readonly atLeast: number }>> = {
  'why a link is not up': {
    found: literals(
      ['control', 'dial/dial', 'dial/dialer', 'link', 'links', 'tls'].map(
        (name) => `gateway/links/${name}.ts`,
      ),
      /(?:close|stop|#later)\(\s*['`]([^'`]+)['`]/g,
      /#become\(\s*'\w+', ['`]([^'`]+)['`]/g,
      /new Error\(\s*`([^`]+)`/g,
      /#reason = '([^']+)'/g,
      /\? '(no [^']+)' :/g,
      /^ {2}[A-Z_\d]+:\s*["']([^"'\n]*[^\n]*)["'],$/gm,
    ).filter((literal) => !literal.includes('must be host:port')),
    atLeast: 14,
  },
  'why a stream is not opened': {
    found: literals(
      sources().filter((file) => file.startsWith('gateway/links/streams/')),
      /new StreamError\(\s*['`]([^'`]+)['`]/g,
    ),
    atLeast: 10,
  },
  'why a host does not relay': {
    found: literals(
      [
        ...sources().filter((file) => file.startsWith('gateway/dataplane/relay/')),
        'gateway/paths/relay-choice.ts',
      ],
      /return ['`]([^'`]+ [^'`]*)['`]/g,
      /(?:Error|WrongEnd)\(\s*['`]([^'`]+)['`]/g,
      /\b(?:end|close)\([^'`\n)]*['`]([^'`]+)['`]/g,
      /[?:] `(it [^`]+)`/g,
      /\?\? '([^']+ [^']*)'/g,
    ),
    atLeast: 14,
  },
  'why a peer is refused': {
    found: [
      ...literals(['gateway/cluster/members/state.ts'], /return ['`]([^'`]*(?:host|key|member)[^'`]*)['`]/g),
      ...literals(['gateway/cluster/members/state.ts'], /: (`another key[^`]+`)/g).map((l) =>
        l.replaceAll('`', ''),
      ),
      ...literals(['gateway/links/links.ts'], /return `([^`]+)`/g, /return '([^']+)'/g),
    ],
    atLeast: 8,
  },
  'why there is no tunnel': {
    found: literals(
      ['kernel/tun.ts', 'gateway/dataplane/device.ts'],
      /unavailable\(\s*'\w+',\s*['`]([^'`:]+)/g,
      /#why = '([^']+)'/g,
    ),
    atLeast: 5,
  },
  'what alarms say': {
    found: literals(
      ['gateway/replication/replica-store.ts', 'gateway/replication/clocks.ts'],
      /reason = `([^`]+)`/g,
    ),
    atLeast: 5,
  },
  'why a message is not followed': {
    found: literals(['gateway/replication/deps.ts'], /^ {2}\| '([a-z-]+)'$/gm),
    atLeast: 10,
  },
  'states of a host': {
    found: [...(/HostState = ([^\n]+)/.exec(text('core/api.ts'))?.[1] ?? '').matchAll(/'(\w+)'/g)].map(
      (m) => m[1] ?? '',
    ),
    atLeast: 4,
  },
}
for (const [what, { found, atLeast }] of Object.entries(said)) {
  t.test(what, async (t) => {
    t.ok(found.length >= atLeast, `${found.length} are found in the sources`)
    for (const literal of found) {
      const isThere = quoted.some((q) => pieces(literal).every((piece) => q.includes(piece)))
      t.ok(isThere, literal)
    }
  })
}

/** What `flatnet … --help` prints; undefined when there is no such command. */
async function help(...words: readonly string[]): Promise<string | undefined> {
  let stdout = ''
  const io = {
    stdout: {
      write(chunk: string) {
        stdout += chunk
      },
    },
    stderr: { write() {} },
  }
  const code = await cli([...words, '--help'], io, fakeHost({}))
  return code === 0 ? stdout : undefined
}

t.test('commands and their options', async (t) => {
  const lines = [operations, text('README.md')]
    .flatMap((page) => [...page.matchAll(/`((?:dist\/)?flatnet [a-z][^`\n]*)`/g)])
    .map((m) => m[1] ?? '')
  t.ok(lines.length > 40)
  const overview = (await help()) ?? ''
  for (const line of new Set(lines)) {
    const [, command = ''] = line.split(' ')
    const [own, ...options] = [await help(command), ...(line.match(/--[a-z-]+/g) ?? [])]
    t.match(overview, new RegExp(`^ +flatnet ${command}\\b`, 'm'), line)
    for (const option of options) t.ok(own?.includes(option), `${line}: ${option}`)
  }
})
