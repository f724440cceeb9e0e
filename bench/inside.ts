/**
 * Measures one claim inside a private machine, and prints the result as JSON.
 *
 * run.ts starts it.
 */

import { mkdirSync } from 'node:fs'
import { benchLeases } from './leases.ts'
import { benchParallel } from './parallel.ts'
import { benchPodman } from './podman.ts'
import type { Order } from './spawn.ts'
import { benchVerbs } from './verbs.ts'
import { benchVersion } from './version.ts'

function run({ claim, executables, dir, isQuick, podman }: Order) {
  mkdirSync(dir, { recursive: true })
  switch (claim) {
    case 'version':
      return benchVersion(executables, isQuick ? 15 : 60)
    case 'verbs':
      return benchVerbs(executables, dir, isQuick ? 7 : 31)
    case 'leases':
      return benchLeases(executables, dir, isQuick ? 5 : 21)
    case 'parallel':
      return benchParallel(executables, dir, isQuick ? 1 : 3, isQuick ? 20 : 100)
    case 'podman':
      return benchPodman(podman!, isQuick ? 3 : 15)
    case 'podman5':
      return benchPodman(podman!, isQuick ? 3 : 15, 'Podman 5: ')
  }
}

if (import.meta.main) process.stdout.write(JSON.stringify(run(JSON.parse(process.argv[2] ?? '{}'))))
