/** Changes sections of a test host's flatnet.yaml. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import type { TestHost } from '../cluster/hosts.ts'

type Sections = Readonly<Record<string, object>>

/** And lets its gateway read them. */
export async function setConf(host: TestHost, sections: Sections): Promise<void> {
  writeConf(host, sections)
  await host.restart()
}

/** Before the gateway starts. */
export function writeConf(host: TestHost, sections: Sections): void {
  const path = join(host.dir, 'flatnet.yaml')
  const values = parse(readFileSync(path, 'utf8'))
  writeFileSync(path, stringify({ ...values, ...sections }))
}
