/** build/check/links.ts: what it finds, and that it finds nothing in this repository. */
import t from 'tap'
import { anchorsOf, faultsOf, repositoryOnDisk } from '../../../build/check/links.ts'

const faults = (texts: Record<string, string>): string[] =>
  faultsOf({
    texts: new Map(Object.entries(texts)),
    exists: (path) => path in texts || Object.keys(texts).some((file) => file.startsWith(path)),
  })

t.test('headings and named places are anchors', async (t) => {
  const page = '# A browser\'s request\n\n## `init`, and *more*\n<a id="p14"></a>\n```\n# no heading\n```\n'
  t.same([...anchorsOf(page)], ['a-browsers-request', 'init-and-more', 'p14'])
})

const PAGE = '# Order\n\n<a id="d1"></a> <a id="d7"></a>\n'
const rows: readonly [what: string, texts: Record<string, string>, fault?: RegExp][] = [
  ['a link to a page', { 'docs/a.md': '[b](b.md)', 'docs/b.md': '' }],
  [
    'a link to a page that is not there',
    { 'docs/a.md': '[b](b.md)' },
    /docs\/a\.md: there is no docs\/b\.md/,
  ],
  ['a link to an anchor', { 'docs/a.md': '[b](b.md#order)', 'docs/b.md': PAGE }],
  ['an anchor that is not there', { 'docs/a.md': '[b](b.md#x)', 'docs/b.md': PAGE }, /docs\/b\.md has no #x/],
  ['an anchor of the page itself', { 'docs/a.md': '# B\n[b](#c)' }, /docs\/a\.md has no #c/],
  ['a public link', { 'docs/a.md': '[b](https://www.rfc-editor.org/rfc/rfc8305)' }],
  ['a link in code', { 'docs/a.md': '```\n[b](b.md)\n```\n' }],
  ['a file that is named', { 'docs/a.md': '`plugin/add.ts`', 'plugin/add.ts': '' }],
  ['a named file that is not there', { 'docs/a.md': '`plugin/add.ts`' }, /there is no plugin\/add\.ts/],
  ['a function in a file', { 'docs/a.md': '`add` in `plugin/add.ts`', 'plugin/add.ts': 'function add()' }],
  [
    'a function of another name',
    { 'docs/a.md': '`add` in `plugin/add.ts`', 'plugin/add.ts': '' },
    /has no add/,
  ],
  ['a citation', { 'plugin/del.ts': '(docs/a.md#d1 to #d7)', 'docs/a.md': PAGE }],
  [
    'a citation whose end is not there',
    { 'plugin/del.ts': 'docs/a.md#d1, #d8', 'docs/a.md': PAGE },
    /has no #d8/,
  ],
  ['papers of the authors', { 'plugin/del.ts': '(DESIGN 6)' }, /cites DESIGN 6/],
  ['their facts', { 'plugin/del.ts': '(facts: CNI D1-D7)' }, /cites facts: CNI D1/],
  ['a variable of that name', { 'plugin/del.ts': 'facts: PathFacts' }],
]
for (const [what, texts, fault] of rows)
  t.test(what, async (t) => {
    const found = faults(texts)
    if (fault === undefined) t.same(found, [])
    else t.match(found, [fault])
    t.equal(found.length, fault === undefined ? 0 : 1)
  })

t.test('this repository', async (t) => {
  const repository = repositoryOnDisk()
  t.ok(repository.texts.size > 600)
  t.same(faultsOf(repository), [])
})
