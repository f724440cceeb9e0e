/** The shape of a command: its options as data, and a function that gets them typed and returns the exit code. */
import type { ArgumentsCamelCase, InferredOptionTypes, Options } from 'yargs'
import type { Host } from './host.ts'
import type { Io } from './output.ts'

/** What a command works with, as an argument, so that tests need neither process nor machine. */
export interface Context {
  readonly io: Io
  readonly host: Host
}

type OptionTable = Readonly<Record<string, Options>>

export interface Command {
  readonly options: OptionTable
  // biome-ignore lint/suspicious/noExplicitAny: `command` checks it against the options
  run(args: any, context: Context): Promise<number>
}

export function command<const O extends OptionTable>(definition: {
  readonly options: O
  run(args: ArgumentsCamelCase<InferredOptionTypes<O>>, context: Context): Promise<number>
}): Command {
  return definition
}

export const jsonOption = {
  json: { type: 'boolean', default: false, describe: 'JSON instead of a table' },
} as const
