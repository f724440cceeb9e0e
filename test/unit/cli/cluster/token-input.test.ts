/** cli/cluster/token-input: a token as an argument, from a file, and from standard input. */
import { writeFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { readToken } from '../../../../cli/cluster/token-input.ts'
import { encodeToken } from '../../../../gateway/cluster/joining/tokens.ts'
import { tokenSample as token } from '../../../helpers/gateway/gateway-samples.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

const text = encodeToken(token)

/** @param input what standard input holds; `null`: there is none */
function io(input: string | null, { isTTY = false, isOpen = false } = {}) {
  const told: string[] = []
  const stdin = Object.assign(new PassThrough(), { isTTY })
  if (isOpen) stdin.write(input)
  else stdin.end(input ?? '')
  const stderr = { write: (part: string) => told.push(part) }
  return { told, io: { stdout: { write: () => true }, stderr, ...(input !== null && { stdin }) } }
}

t.test('each way to give a token', async (t) => {
  const folder = scratchFolder(t)
  const file = `${folder}/token`
  writeFileSync(file, `flatnet join ${text}\n`)
  const ways: [name: string, source: Parameters<typeof readToken>[0], input: string | null][] = [
    ['an argument', { token: text }, null],
    ['a file', { tokenFile: file }, null],
    ['standard input, the token alone', {}, text],
    ['standard input, the line that flatnet token prints', {}, `flatnet join ${text}\n`],
    ['the line of a copied executable, behind a blank line', {}, `\n./flatnet join ${text}\r\n`],
    ['- as an argument', { token: '-' }, `${text}\n`],
    ['- as a file', { tokenFile: '-' }, `${text}\n`],
  ]
  for (const [name, source, input] of ways) t.same(await readToken(source, io(input).io), token, name)
})

t.test('a person is asked, and Enter is the end', async (t) => {
  const terminal = io(`${text}\n`, { isTTY: true, isOpen: true })
  t.same(await readToken({}, terminal.io), token)
  t.match(terminal.told.join(''), /flatnet token/)
  const pipe = io(`${text}\n`)
  await readToken({}, pipe.io)
  t.same(pipe.told, [], 'a script is not')
})

t.test('no token: the source, and the way out', async (t) => {
  const folder = scratchFolder(t)
  const cases: [source: Parameters<typeof readToken>[0], input: string | null, what: RegExp][] = [
    [{}, null, /standard input is closed/],
    [{}, ' \n', /standard input is empty/],
    [{}, 'hello\n', /standard input holds no token: .*fnj_/],
    [{ token: text.slice(0, -3) }, null, /the argument holds no token: .*not complete/],
    [{ tokenFile: `${folder}/absent` }, null, /--token-file is ".*absent".*ENOENT/],
    [{ token: text, tokenFile: '-' }, text, /given twice/],
  ]
  for (const [source, input, what] of cases)
    await t.rejects(readToken(source, io(input).io), { name: 'CliError', message: what, next: /.+/ })
})
