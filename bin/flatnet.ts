/**
 * The executable's entry: a CNI verb when CNI_COMMAND is set, the command line otherwise. Imports nothing at
 * the top (docs/architecture/plugin.md#loads).
 */

async function run(): Promise<number> {
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
  return cli(process.argv.slice(2), process)
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
