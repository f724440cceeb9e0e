/** The shape of a command: its options as data, and a function from typed options to an exit code. */

import type { ArgumentsCamelCase, InferredOptionTypes, Options, PositionalOptions } from 'yargs'
import type { Host } from './host/host.ts'
import type { Io } from './ui/output.ts'

/** What a command works with, as an argument, so that tests need neither process nor machine. */
export interface Context {
  readonly io: Io
  readonly host: Host
}

type OptionTable = Readonly<Record<string, Options>>
type PositionalTable = Readonly<Record<string, PositionalOptions>>

type Examples = readonly (readonly [args: string, what: string])[]

export interface Command {
  readonly options: OptionTable
  /** Arguments by place, in the order of the usage line. */
  readonly positionals?: PositionalTable
  /** The arguments of an example, and what it does; the help shows both. */
  readonly examples?: Examples
  // biome-ignore lint/suspicious/noExplicitAny: `command` checks it against the options
  run(args: any, context: Context): Promise<number>
}

// biome-ignore lint/complexity/noBannedTypes: no positionals is an empty table
export function command<const O extends OptionTable, const P extends PositionalTable = {}>(definition: {
  readonly options: O
  readonly positionals?: P
  readonly examples?: Examples
  run(args: ArgumentsCamelCase<InferredOptionTypes<O & P>>, context: Context): Promise<number>
}): Command {
  return definition
}

export const jsonOption = {
  json: { type: 'boolean', default: false, describe: 'JSON instead of a table' },
} as const
