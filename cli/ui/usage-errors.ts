/** The error of a command line that was not understood: the wrong word, and the one probably meant. */

import { nearest } from '../../conf/nearest.ts'
import type { Command } from '../command.ts'
import { UsageError } from './output.ts'

/** The command of the line, when there is one of its name. */
export interface Named {
  readonly name: string
  /** What follows the name, e.g. `<token>`. */
  readonly places: string | undefined
  /** undefined while its code is not loaded. */
  readonly command: Command | undefined
}

const camel = (name: string): string => name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())

interface Typed {
  /** With its dashes, without a value. */
  readonly option: string
  readonly name: string
  /** Behind `=`; undefined without. */
  readonly value: string | undefined
}

/** What looks like an option, up to `--`. */
function typedOptions(argv: readonly string[]): Typed[] {
  const end = argv.indexOf('--')
  return (end === -1 ? argv : argv.slice(0, end)).flatMap((word) => {
    const [, dashes, name, value] = /^(--?)([a-zA-Z][^=]*)(?:=(.*))?$/s.exec(word) ?? []
    return dashes === undefined || name === undefined ? [] : [{ option: dashes + name, name, value }]
  })
}

const optionsOf = (named: Named | undefined): readonly string[] => [
  ...Object.keys(named?.command?.options ?? {}),
  'help',
  'version',
]

function isKnown({ option, name }: Typed, known: readonly string[]): boolean {
  if (option === '-h') return true
  const bare = name.replace(/^no-/, '')
  return option.startsWith('--') && known.some((k) => k === bare || camel(k) === name)
}

const meant = (word: string, known: readonly string[], dashes = ''): string => {
  const [near] = nearest(word, known)
  return near === undefined ? '' : `. Did you mean ${dashes}${near}?`
}

const unknownOptions = (argv: readonly string[], named: Named | undefined): string[] => {
  const known = optionsOf(named)
  const wrong = typedOptions(argv).filter((typed) => !isKnown(typed, known))
  return wrong.map(({ option, name }) => `there is no option ${option}${meant(name, known, '--')}`)
}

/** Words that are commands elsewhere, and options here. */
const ELSEWHERE: Readonly<Record<string, string>> = { version: '--version', help: '--help' }

function unknownCommand(argv: readonly string[], commands: readonly string[]): string | undefined {
  const word = argv.find((w) => !w.startsWith('-'))
  if (word === undefined || commands.includes(word)) return undefined
  const near = ELSEWHERE[word]
  return `there is no command ${word}${near === undefined ? meant(word, commands) : `. Did you mean ${near}?`}`
}

/** In our words what the parser says of the line. */
function plain(message: string, named: Named | undefined): string {
  const { name = '', places = '' } = named ?? {}
  const usage = `flatnet ${name}${places === '' ? '' : ` ${places}`}`
  const [, short] = /^Not enough arguments following: (.+)$/.exec(message) ?? []
  if (short !== undefined) return `--${short} needs a value`
  if (message.startsWith('Not enough non-option arguments')) return `something is missing: ${usage}`
  const [, words] = /^Unknown arguments?: (.+)$/.exec(message) ?? []
  if (words !== undefined) return `"${words}" is too much; the command is: ${usage}`
  const [, given = '', choices] = /Given: "([^"]*)", Choices: (.+)/.exec(message) ?? []
  if (choices !== undefined) {
    const known = [...choices.matchAll(/"([^"]+)"/g)].map(([, choice = '']) => choice)
    return `"${given}" is not known here: it must be ${known.join(' or ')}${meant(given, known)}`
  }
  const [, one, other] = /^Arguments (\S+) and (\S+) are mutually exclusive/.exec(message) ?? []
  return one === undefined ? message : `--${one} and --${other}: one of them only`
}

const helpOf = (named: Named | undefined): string =>
  named === undefined ? 'flatnet --help, or flatnet <command> --help' : `flatnet ${named.name} --help`

export function usageError(
  message: string,
  argv: readonly string[],
  named: Named | undefined,
  commands: readonly string[],
): UsageError {
  const options = /^(Unknown argument|Name a command)/.test(message) ? unknownOptions(argv, named) : []
  const unknown = named === undefined ? unknownCommand(argv, commands) : undefined
  const text = unknown ?? (options.length > 0 ? options.join('; ') : plain(message, named))
  return new UsageError(text, helpOf(named))
}

/** Behind the option, as it was typed. */
function typedValue(argv: readonly string[], name: string): string {
  const at = argv.findLastIndex((word) => word === `--${name}` || word.startsWith(`--${name}=`))
  const word = argv[at] ?? ''
  return word.includes('=') ? word.slice(word.indexOf('=') + 1) : (argv[at + 1] ?? '')
}

/**
 * The parser makes NaN of a word where a number belongs, and `false` of `--dry-run=yes`.
 * @throws {UsageError}
 */
export function refuseValues(args: Readonly<Record<string, unknown>>, argv: readonly string[], named: Named) {
  const problem = (what: string, allowed: string): never => {
    throw new UsageError(`${what}: ${allowed}`, helpOf(named))
  }
  for (const [name, { type }] of Object.entries(named.command?.positionals ?? {})) {
    if (type === 'number' && Number.isNaN(args[name])) problem(`<${name}>`, 'must be a number')
  }
  for (const [name, { type }] of Object.entries(named.command?.options ?? {})) {
    const value = args[name]
    const is = (): string => `--${name} is "${typedValue(argv, name)}"`
    if (type === 'number' && value !== undefined && !(Number.isSafeInteger(value) && Number(value) >= 0))
      problem(is(), 'must be a whole number')
    if (type === 'string' && value === '') problem(`--${name} is ""`, 'must not be empty')
    const typed = typedOptions(argv).find((o) => o.name === name && o.value !== undefined)?.value
    if (type === 'boolean' && typed !== undefined && typed !== 'true' && typed !== 'false')
      problem(`--${name} is "${typed}"`, 'is said without a value')
  }
}
