/** docs/errors.md and the source name the same errors with the same numbers, in both directions. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { CNI_CODE_OF, CniCode } from '../../../core/errors.ts'
import { STATUS_OF } from '../../../gateway/api/answer.ts'
import { inRepo } from '../../helpers/run/sources.ts'

/** Rows `| number | `CODE` | meaning | what to do |`. */
const rows = readFileSync(inRepo('docs/errors.md'), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, number, code, ...texts] = line.split('|').map((cell) => cell.trim())
    return code !== undefined && /^`ERR_\w+`$/.test(code)
      ? [{ code: code.replaceAll('`', ''), number: Number(number), texts: texts.slice(0, -1) }]
      : []
  })
const listed = (prefix: RegExp) =>
  Object.fromEntries(rows.filter(({ code }) => prefix.test(code)).map(({ code, number }) => [code, number]))

t.test('the codes of the plugin', async (t) => {
  t.same(listed(/^ERR_FLATNET_(?!API_)/), CNI_CODE_OF)
})

t.test('the codes of the API', async (t) => {
  t.same(listed(/^ERR_FLATNET_API_/), STATUS_OF)
})

t.test('each has a meaning and a way out, and is listed once', async (t) => {
  t.equal(new Set(rows.map((r) => r.code)).size, rows.length)
  for (const { code, texts } of rows)
    t.ok(texts.length === 2 && texts.every((text) => text.length > 10), code)
})

t.test('each CNI number has a code', async (t) => {
  t.same([...new Set(Object.values(CNI_CODE_OF))].sort(), Object.values(CniCode).sort())
})
