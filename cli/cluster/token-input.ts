/** Where `flatnet join` takes its token from: an argument, a file, or standard input. */

import { readFileSync } from 'node:fs'
import { decodeToken, type Token, TokenTextError } from '../../gateway/cluster/joining/tokens.ts'
import { type Io, UsageError } from '../ui/output.ts'

/** A token has some 400 characters; more than this is another file. */
const MOST_BYTES = 16_384
/** A pipe whose writer hangs, and a person who went for lunch. */
const STDIN_TIMEOUT_MS = 120_000

export interface TokenSource {
  /** On the command line, where other users of this machine see it in the list of processes. */
  readonly token?: string | undefined
  /** `-` is standard input. */
  readonly tokenFile?: string | undefined
}

/** @throws {UsageError} there is no token, two are given, or it is damaged */
export async function readToken({ token, tokenFile }: TokenSource, io: Io): Promise<Token> {
  if (token !== undefined && tokenFile !== undefined)
    throw new UsageError(
      'the token is given twice: as an argument and as --token-file',
      'leave one of them out',
    )
  if (token !== undefined && token !== '-') return tokenOf(token, 'the argument')
  if (tokenFile !== undefined && tokenFile !== '-') return tokenOf(fileText(tokenFile), tokenFile)
  return tokenOf(await stdinText(io), 'standard input')
}

/** Takes the token alone, and also the whole line that `flatnet token` prints. */
function tokenOf(given: string, source: string): Token {
  const text = given.trim().replace(/^(?:\S*\/)?flatnet\s+join\s+/, '')
  try {
    return decodeToken(text)
  } catch (err) {
    if (!(err instanceof TokenTextError)) throw err
    throw new UsageError(
      `${source} holds no token: ${err.message}`,
      'flatnet token, on a host of the cluster, prints the line to run here',
    )
  }
}

function fileText(path: string): string {
  try {
    return readFileSync(path, 'utf8').slice(0, MOST_BYTES)
  } catch (err) {
    throw new UsageError(
      `--token-file is ${JSON.stringify(path)}: ${err instanceof Error ? err.message : String(err)}`,
      'name a file that holds the line of flatnet token, or - for standard input',
    )
  }
}

/** Its first line. */
async function stdinText({ stdin, stderr }: Io): Promise<string> {
  if (stdin === undefined) throw missing('standard input is closed')
  if (stdin.isTTY) stderr.write('The line that flatnet token printed: ')
  stdin.setEncoding('utf8')
  const late = setTimeout(
    () => stdin.destroy(missing('nothing came on standard input for 2 minutes')),
    STDIN_TIMEOUT_MS,
  )
  let text = ''
  try {
    for await (const part of stdin) {
      text += part
      if (text.trimStart().includes('\n') || text.length > MOST_BYTES) break
    }
  } finally {
    clearTimeout(late)
  }
  if (text.trim() === '') throw missing('standard input is empty')
  return text.trim().split('\n')[0] ?? ''
}

const missing = (what: string): UsageError =>
  new UsageError(
    `no token: ${what}`,
    'flatnet join < file, or ssh HOST flatnet token | flatnet join, where HOST is in the cluster',
  )
