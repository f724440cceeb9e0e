/** The resolvers of glibc and musl, as containers have them: one small program, linked with each. */

import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { ROOT } from '../run/executable.ts'
import { scratchFolder } from '../run/scratch.ts'

const SOURCE = join(ROOT, 'test/fixtures/resolve.c')
/** By its C library. Debian has no Alpine, but its musl-tools make the same resolver. */
const COMPILERS = { glibc: ['gcc'], musl: ['musl-gcc', '-static'] } as const

interface Asked {
  readonly family: '4' | '6' | 'any'
  readonly names: readonly string[]
  /** Lines of resolv.conf. */
  readonly conf: readonly string[]
}

export interface LibcResolver {
  readonly libc: 'glibc' | 'musl'
  /** @returns a line for each name: `ok 10.100.1.10`, `none`, `again` where no server answered */
  ask(place: { exec(...argv: string[]): string }, asked: Asked): string[]
}

export function libcResolvers(t: Test): LibcResolver[] {
  const folder = scratchFolder(t)
  return (['glibc', 'musl'] as const).map((libc) => {
    const program = join(folder, libc)
    const [compiler, ...flags] = COMPILERS[libc]
    execFileSync(compiler, [...flags, '-Wall', '-Werror', '-o', program, SOURCE])
    return {
      libc,
      ask(place, { conf, family, names }) {
        const resolv = join(folder, 'resolv.conf')
        writeFileSync(resolv, `${conf.join('\n')}\n`)
        const script = 'mount --bind "$1" /etc/resolv.conf; shift; exec "$@"'
        const said = place.exec(
          'unshare',
          '-m',
          'sh',
          '-ec',
          script,
          'ask',
          resolv,
          program,
          family,
          ...names,
        )
        return said.trim().split('\n')
      },
    }
  })
}
