/** Makes the tests' container image from busybox-static, without any registry. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ROOT } from '../run/executable.ts'

export const IMAGE = 'localhost/flatnet-test:1'

const BUSYBOX = '/bin/busybox'
/** Prints the client's address, as the server sees it. */
const WHO = '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"; echo "$REMOTE_ADDR"\n'
/** Prints the server's hostname, which tells which container answered. */
const NAME = '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"; hostname\n'

function must(command: string, ...args: string[]): string {
  const done = spawnSync(command, args, { encoding: 'utf8' })
  if (done.error) throw done.error
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${done.stderr}`)
  return done.stdout
}

/** A root file system for `podman import`: busybox with its applets, and a web root with two CGI programs. */
export function imageTar(): string {
  const cache = join(ROOT, '.build/test-image')
  const key = createHash('sha256')
    .update(readFileSync(BUSYBOX))
    .update(WHO + NAME)
    .digest('hex')
    .slice(0, 12)
  const tar = join(cache, `${key}.tar`)
  if (existsSync(tar)) return tar
  mkdirSync(cache, { recursive: true })
  const root = mkdtempSync(join(tmpdir(), 'ft-image-'))
  for (const dir of ['bin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'www/cgi-bin'])
    mkdirSync(join(root, dir), { recursive: true })
  const applets = must(BUSYBOX, '--list')
    .split('\n')
    .filter((name) => name && name !== 'busybox')
  must(
    'sh',
    '-ec',
    `cp ${BUSYBOX} "$0/bin/busybox"; cd "$0/bin"; for a in "$@"; do ln -s busybox "$a"; done`,
    root,
    ...applets,
  )
  writeFileSync(join(root, 'www/cgi-bin/who'), WHO, { mode: 0o755 })
  writeFileSync(join(root, 'www/cgi-bin/name'), NAME, { mode: 0o755 })
  writeFileSync(join(root, 'www/index.html'), 'flatnet test page\n')
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n')
  const partial = `${tar}.${process.pid}`
  must('tar', '-C', root, '-cf', partial, '.')
  renameSync(partial, tar) // several test files may do this at once
  rmSync(root, { recursive: true })
  return tar
}
