/**
 * The entry of dist/flatnet-cni: the CNI plugin role alone. Imports nothing at the top
 * (docs/architecture/plugin.md#loads).
 */

async function run(): Promise<number> {
  // Before CNI_COMMAND, which a caller of Podman 5 may have in its environment (docs/architecture/dialects.md).
  // Compared one by one: the first regular expression of a process costs 0.1 ms of the 3.5 that VERSION takes.
  const verb = process.argv[2]
  if (verb === 'create' || verb === 'setup' || verb === 'teardown' || verb === 'info') {
    const { netavark } = await import('../plugin/main.ts')
    process.exit(await netavark(process.argv.slice(2)))
  }
  if (process.env['CNI_COMMAND'] !== undefined) {
    const { main } = await import('../plugin/main.ts')
    // All is written and nothing is open: Bun need not come to its end in order.
    process.exit(await main(process))
  }
  // As the reference plugins: what this is, on stderr.
  const { version } = await import('../conf/version.ts')
  const { SUPPORTED_VERSIONS } = await import('../plugin/versions.ts')
  process.stderr.write(
    `CNI flatnet plugin v${version()}; the command line is in "flatnet"\n` +
      `CNI protocol versions supported: ${SUPPORTED_VERSIONS.join(', ')}\n`,
  )
  return 0
}

// No top-level await: Bun compiles bytecode of CommonJS.
run().then(
  (code) => {
    process.exitCode = code
  },
  (err: unknown) => {
    process.stderr.write(`flatnet-cni: ${err instanceof Error ? err.stack : String(err)}\n`)
    process.exitCode = 1
  },
)
