/** The command line: what `flatnet <command>` accepts, and how it ends (0 done, 1 failed, 2 not understood). */
import yargs, { type Argv } from 'yargs'
import { SUPPORTED_VERSIONS } from '../plugin/versions.ts'
import type { Command, Context } from './cli/command.ts'
import { doctorCommand } from './cli/doctor.ts'
import { gcCommand } from './cli/gc.ts'
import { systemHost } from './cli/host.ts'
import { installCommand } from './cli/install.ts'
import { explain, type Io, MAX_COLUMNS, UsageError } from './cli/output.ts'
import { psCommand } from './cli/ps.ts'
import { statusCommand } from './cli/status.ts'
import { uninstallCommand } from './cli/uninstall.ts'
import { version } from './version.ts'

const COMMANDS: readonly Command[] = [
  installCommand,
  uninstallCommand,
  statusCommand,
  psCommand,
  gcCommand,
  doctorCommand,
]

/** Commands the shell shows besides ours. */
const COMPLETION = 'completion'

interface Chosen {
  readonly command: Command
  readonly args: unknown
}

/** The parser finds which command is meant and checks its options; the command runs after it, outside of yargs. */
function parser(choose: (chosen: Chosen) => void): Argv {
  let line = yargs()
    .scriptName('flatnet')
    .usage('$0 <command>\n\nOne flat address for every Podman container, and a browser-only way in.')
    .locale('en')
    .version(version())
    .exitProcess(false)
    .strict()
    .demandCommand(1, 'Name a command.')
    .recommendCommands()
    .parserConfiguration({ 'duplicate-arguments-array': false, 'strip-dashed': false })
    .completion(COMPLETION, 'Print a script for shell completion: source <(flatnet completion)')
    .epilogue('Configuration and errors: README.md and docs/errors.md. What is wrong here: flatnet doctor')
    .wrap(MAX_COLUMNS)
    .help()
    .alias('help', 'h')
    .fail((message: string | undefined, err: Error | undefined) => {
      throw err ?? new UsageError(message ?? 'not understood', 'flatnet --help, or flatnet <command> --help')
    })
  for (const command of COMMANDS) {
    line = line.command(
      command.name,
      command.describe,
      (builder) => builder.options(command.options),
      (args) => choose({ command, args }),
    )
  }
  return line
}

/** CNI reference skeleton: without CNI_COMMAND a plugin says on stderr what it is, and stdout stays empty. */
function about(io: Io, help: string): number {
  io.stderr.write(`CNI flatnet plugin ${version()}\n`)
  io.stderr.write(`CNI protocol versions supported: ${SUPPORTED_VERSIONS.join(', ')}\n\n${help}\n`)
  return 0
}

/** @returns the exit code */
export async function cli(
  argv: readonly string[],
  io: Io,
  host: Context['host'] = systemHost,
): Promise<number> {
  try {
    let chosen: Chosen | undefined
    const line = parser((found) => {
      chosen = found
    })
    if (argv.length === 0) return about(io, await line.getHelp())
    await line.parseAsync([...argv], {}, (err: Error | undefined | null, _args: unknown, output: string) => {
      if (err) throw err
      if (output !== '') io.stdout.write(`${output}\n`)
    })
    return chosen === undefined ? 0 : await chosen.command.run(chosen.args, { io, host })
  } catch (err) {
    io.stderr.write(explain(err))
    return err instanceof UsageError ? 2 : 1
  }
}
