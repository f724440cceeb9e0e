/** The gateway's repair of rules and ports, without a gateway. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../run/executable.ts'
import type { CniHost } from './cni.ts'

/** Runs kernel/repair.ts from the sources, with the leases on disk, inside the host. */
export async function repair(
  host: CniHost,
  over: object = {},
  leases: readonly object[] = host.leases(),
): Promise<Record<string, unknown>> {
  const program = join(host.m.dir, 'repair.mts')
  const networks = [
    {
      network: 'flatnet',
      antiSpoof: true,
      bridge: 'flatnet0',
      supernet: { base: 0x0a640000, prefixLen: 16 },
      slice: { base: 0x0a640100, prefixLen: 24 },
      masquerade: true,
      hostAccess: false,
      lockPath: join(host.dataDir, 'rules.lock'),
      ...over,
    },
  ]
  writeFileSync(
    program,
    `import { repairRules } from ${JSON.stringify(join(ROOT, 'kernel/repair.ts'))}
    import { nftTemplate } from ${JSON.stringify(join(ROOT, 'conf/templates.ts'))}
    const done = repairRules(${JSON.stringify(networks)}, ${JSON.stringify(leases)}, nftTemplate)
    console.log(JSON.stringify({ ...done, errors: done.errors.map((e) => [e.message, String(e.cause)].join(': ')) }))`,
  )
  return JSON.parse(await host.m.exec(process.execPath, '--disable-warning=ExperimentalWarning', program))
}
