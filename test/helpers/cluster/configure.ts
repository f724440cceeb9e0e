/** Changes the configuration of hosts that may run. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestHost } from './hosts.ts'

/** Changes a line of a host's file, and has its gateway read that if it runs. @throws Error nothing would change */
export function configure(host: TestHost, line: RegExp, to: string): void {
  const file = join(host.dir, 'flatnet.yaml')
  const before = readFileSync(file, 'utf8')
  const after = before.replace(line, to)
  if (after === before) throw new Error(`no ${line} in ${file}`)
  writeFileSync(file, after)
  host.signal('SIGHUP')
}

/** Whether the host uses UDP between hosts. */
export const switchUdp = (host: TestHost, isOn: boolean): void =>
  configure(host, /(?<=^p2p:\n {2}enabled: ).*$/m, String(isOn))

/** Whether the host uses UDP with that one. */
export const switchUdpWith = (host: TestHost, to: number, isOn: boolean): void =>
  configure(host, /(?<=^ {2}hosts: ).*$/m, isOn ? '{}' : `{ ${to}: off }`)
