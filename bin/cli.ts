/** The command line: what `flatnet <command>` accepts, and how it ends (0 done, 1 failed, 2 not understood). */
import yargs from 'yargs'
import { version } from './version.ts'

export async function cli(
  argv: readonly string[],
  io: Pick<NodeJS.Process, 'stdout' | 'stderr'>,
): Promise<number> {
  const parser = yargs([...argv])
    .scriptName('flatnet')
    .locale('en')
    .version(version())
    .exitProcess(false)
    .strict()
    .completion('completion', 'Print a script for shell completion')
    .help()
  await parser.parseAsync([...argv], {}, (err: Error | undefined, _args: unknown, output: string) => {
    if (err) throw err
    if (output !== '') io.stdout.write(`${output}\n`)
  })
  return 0
}
