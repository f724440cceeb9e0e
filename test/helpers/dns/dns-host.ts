/** Changes the section `dns` of a test host's flatnet.yaml, and lets its gateway read it. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import type { TestHost } from '../cluster/hosts.ts'

export async function setDns(host: TestHost, dns: object): Promise<void> {
  const path = join(host.dir, 'flatnet.yaml')
  const values = parse(readFileSync(path, 'utf8'))
  writeFileSync(path, stringify({ ...values, dns }))
  await host.restart()
}
