/**
 * The executable's entry: a netavark verb, a CNI verb when CNI_COMMAND is set, the command line otherwise. Imports
 * nothing at the top (docs/architecture/plugin.md#loads).
 */

async function run(): Promise<number> {
  const args = process.argv.slice(2)
  // Before CNI_COMMAND, which a caller of Podman 5 may have in its environment (docs/architecture/dialects.md).
  if (/^(create|setup|teardown|info)$/.test(args[0] ?? '')) {
    const { netavark } = await import('../plugin/main.ts')
    process.exit(await netavark(args))
  }
  if (process.env['CNI_COMMAND'] !== undefined) {
    const { main } = await import('../plugin/main.ts')
    // All is written and nothing is open: Node need not come to its end in order, which takes 2 ms.
    process.exit(await main(process))
  }
  // In the packed executable build/build.ts puts packed.ts in the place of cli.ts.
  const { cli } = await import('../cli/cli.ts')
  // `flatnet ps | head`: who reads has seen enough.
  process.stdout.on('error', (err: NodeJS.ErrnoException) => {
    if (err.code === 'EPIPE') return
    process.stderr.write(`flatnet: stdout cannot be written: ${err.message}\n`)
    process.exit(1)
  })
  return cli(args, process)
}

// No top-level await: the packed bundle is CommonJS.
run().then(
  (code) => {
    process.exitCode = code
  },
  (err: unknown) => {
    process.stderr.write(`flatnet: ${err instanceof Error ? err.stack : String(err)}\n`)
    process.exitCode = 1
  },
)
