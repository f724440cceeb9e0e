/**
 * The command line: what `flatnet <command>` accepts, and its exit code.
 *
 * 0 done, 1 failed, 2 not understood.
 */

import yargs, { type Argv } from 'yargs'
import { version } from '../conf/version.ts'
import { SUPPORTED_VERSIONS } from '../plugin/versions.ts'
import type { Command, Context } from './command.ts'
import { systemHost } from './host/host.ts'
import { explain, type Io, UsageError, widthOf } from './ui/output.ts'
import { type Named, refuseValues, usageError } from './ui/usage-errors.ts'

/** What yargs leaves out of help and completion: a command that programs run. */
const HIDDEN = false

/** Only the code of the given command is loaded: all of them together take 80 ms. */
const COMMANDS: readonly {
  readonly name: string
  /** What follows the name, e.g. `<token>`. */
  readonly places?: string
  readonly describe: string | typeof HIDDEN
  load(): Promise<Command>
}[] = [
  {
    name: 'install',
    describe: 'Install the plugin, its network and the gateway on this host, or change them',
    load: async () => (await import('./commands/install.ts')).installCommand,
  },
  {
    name: 'uninstall',
    describe: 'Remove everything that install and the gateway created',
    load: async () => (await import('./commands/uninstall.ts')).uninstallCommand,
  },
  {
    name: 'gateway',
    describe: 'Run the gateway of this host, as the systemd unit does',
    load: async () => (await import('./commands/gateway.ts')).gatewayCommand,
  },
  {
    name: 'p2p',
    describe: HIDDEN,
    load: async () => (await import('./commands/p2p.ts')).p2pCommand,
  },
  {
    name: 'init',
    describe: 'Make a cluster with this host as its first member',
    load: async () => (await import('./commands/init.ts')).initCommand,
  },
  {
    name: 'token',
    describe: 'Print the line that brings another host into the cluster, once',
    load: async () => (await import('./commands/token.ts')).tokenCommand,
  },
  {
    name: 'join',
    places: '[token]',
    describe: 'Bring this host into a cluster and install what it needs',
    load: async () => (await import('./commands/join.ts')).joinCommand,
  },
  {
    name: 'leave',
    describe: 'Take this host out of its cluster',
    load: async () => (await import('./commands/leave.ts')).leaveCommand,
  },
  {
    name: 'ca',
    describe: 'Print the CA that browsers import for HTTPS with ingress.tls: internal',
    load: async () => (await import('./commands/ca.ts')).caCommand,
  },
  {
    name: 'hosts',
    places: '[action] [host]',
    describe: 'List the hosts of the cluster, or end the quarantine of one',
    load: async () => (await import('./commands/hosts.ts')).hostsCommand,
  },
  {
    name: 'revoke',
    places: '<host>',
    describe: 'Take another host out of the cluster, for good',
    load: async () => (await import('./commands/revoke.ts')).revokeCommand,
  },
  {
    name: 'status',
    describe: "Show the state of this host's gateway and its paths to other hosts",
    load: async () => (await import('./commands/status.ts')).statusCommand,
  },
  {
    name: 'retry',
    places: '[host]',
    describe: 'Try now for a direct UDP path to other hosts',
    load: async () => (await import('./commands/retry.ts')).retryCommand,
  },
  {
    name: 'tiers',
    describe: 'Show the kinds of path to other hosts: how often each was found, and how soon',
    load: async () => (await import('./commands/tiers.ts')).tiersCommand,
  },
  {
    name: 'netcheck',
    describe: 'Find out whether UDP works here, and how other hosts see this one through a NAT',
    load: async () => (await import('./commands/netcheck.ts')).netcheckCommand,
  },
  {
    name: 'nebula',
    places: '<verb> [host]',
    describe: 'Make certificates and configuration for hosts that also reach each other through Nebula',
    load: async () => (await import('./commands/nebula.ts')).nebulaCommand,
  },
  {
    name: 'ps',
    describe: 'List the containers on the network, of all hosts that the gateway knows',
    load: async () => (await import('./commands/ps.ts')).psCommand,
  },
  {
    name: 'gc',
    describe: 'Release addresses and ports of containers that exited without cleanup',
    load: async () => (await import('./commands/gc.ts')).gcCommand,
  },
  {
    name: 'doctor',
    describe: 'Find what is wrong on this host and say how to fix it',
    load: async () => (await import('./commands/doctor.ts')).doctorCommand,
  },
]

/** Commands the shell shows besides ours. */
const COMPLETION = 'completion'

const NAMES = [...COMMANDS.filter(({ describe }) => describe !== HIDDEN).map(({ name }) => name), COMPLETION]

interface Chosen {
  readonly command: Command
  readonly args: unknown
}

/** The parser finds which command is meant and checks its options; the command runs after it, outside of yargs. */
function parser(argv: readonly string[], width: number, choose: (chosen: Chosen) => void): Argv {
  let named: Named | undefined
  let line = yargs()
    .scriptName('flatnet')
    .usage(
      '$0 <command>\n\nOne flat network for the containers of all your Podman hosts; a browser is enough to open them.',
    )
    .locale('en')
    .version(version())
    .exitProcess(false)
    .strict()
    .demandCommand(1, 'Name a command.')
    .parserConfiguration({ 'duplicate-arguments-array': false, 'strip-dashed': false })
    .epilogue(
      'When something is wrong: flatnet doctor. Configuration: docs/configuration.md; error codes: docs/errors.md',
    )
    .wrap(width)
    .help()
    .alias('help', 'h')
    .fail((message: string | undefined, err: Error | undefined) => {
      if (err instanceof UsageError) throw err
      throw usageError(message ?? err?.message ?? 'not understood', argv, named, NAMES)
    })
  for (const { name, places, describe, load } of COMMANDS) {
    line = line.command(
      places === undefined ? name : `${name} ${places}`,
      // Its types have text and false apart.
      describe as string,
      async (builder) => {
        named = { name, places, command: undefined }
        const command = await load()
        named = { name, places, command }
        const { options, positionals = {}, examples = [] } = command
        for (const [key, positional] of Object.entries(positionals)) builder.positional(key, positional)
        for (const [example, what] of examples) builder.example(`flatnet ${name} ${example}`.trim(), what)
        return builder.options(options)
      },
      async (args) => {
        const command = await load()
        refuseValues(args, argv, { name, places, command })
        choose({ command, args })
      },
    )
  }
  return line.completion(COMPLETION, 'Print a script for shell completion: source <(flatnet completion)')
}

/** CNI reference skeleton: without CNI_COMMAND a plugin says on stderr what it is, and stdout stays empty. */
function about(io: Io, help: string): number {
  io.stderr.write(`CNI flatnet plugin ${version()}\n`)
  io.stderr.write(`CNI protocol versions supported: ${SUPPORTED_VERSIONS.join(', ')}\n\n${help}\n`)
  return 0
}

/** @throws {UsageError} every error of the parser is one of the command line, as commands run after it */
async function parse(argv: readonly string[], io: Io): Promise<Chosen | undefined> {
  let chosen: Chosen | undefined
  const line = parser(argv, widthOf(io), (found) => {
    chosen = found
  })
  try {
    await line.parseAsync([...argv], {}, (err: Error | undefined | null, _args: unknown, output: string) => {
      if (err) throw err
      if (output !== '') io.stdout.write(`${output}\n`)
    })
  } catch (err) {
    if (err instanceof UsageError) throw err
    // The parser does not report a missing value by its fail handler.
    const known = COMMANDS.find(({ name }) => name === argv[0])
    const named = known && { name: known.name, places: known.places, command: undefined }
    throw usageError(err instanceof Error ? err.message : String(err), argv, named, NAMES)
  }
  return chosen
}

/** @returns the exit code */
export async function cli(
  argv: readonly string[],
  io: Io,
  host: Context['host'] = systemHost,
): Promise<number> {
  try {
    if (argv.length === 0) return about(io, await parser([], widthOf(io), () => {}).getHelp())
    const chosen = await parse(argv, io)
    return chosen === undefined ? 0 : await chosen.command.run(chosen.args, { io, host })
  } catch (err) {
    io.stderr.write(explain(err))
    return err instanceof UsageError ? 2 : 1
  }
}
