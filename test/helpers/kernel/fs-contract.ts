/**
 * What build/stand-ins/bun-fs.ts does beside Bun's own node:fs: a program, run by Bun, that prints one line per check.
 */
import * as real from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as ours from '../../../build/stand-ins/bun-fs.ts'
import * as path from '../../../build/stand-ins/bun-path.ts'

const dir = real.mkdtempSync(join(tmpdir(), 'ft-fs-'))
const file = join(dir, 'häßlich ☃')
const absent = join(dir, 'absent')
const LONG = 'x'.repeat(300_000)

type Fs = Pick<typeof real, keyof typeof ours>

function equal(actual: unknown, expected: unknown): void {
  const [a, b] = [actual, expected].map((value) =>
    JSON.stringify(value, (_key, v) => (typeof v === 'bigint' ? `${v}n` : v)),
  )
  if (a !== b) throw new Error(`${a} instead of ${b}`)
}

/** What matters of an error: everything that the sources look at. */
function outcome(call: () => unknown): unknown {
  try {
    return call()
  } catch (err) {
    const { code, errno, syscall, path: where } = err as NodeJS.ErrnoException
    return { code, errno, path: where, isNamed: syscall !== undefined }
  }
}

/** The same call to both gives the same value or the same error. */
const same = (call: (fs: Fs) => unknown): void =>
  equal(
    outcome(() => call(ours as Fs)),
    outcome(() => call(real)),
  )

const CHECKS: Readonly<Record<string, () => void>> = {
  'a file is written, appended to and read as a whole': () => {
    ours.writeFileSync(file, 'grün')
    ours.appendFileSync(file, '\n☃', { mode: 0o640 })
    equal(real.readFileSync(file, 'utf8'), 'grün\n☃')
    same((fs) => fs.readFileSync(file, 'utf8'))
    same((fs) => fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1'))
    real.writeFileSync(file, LONG)
    same((fs) => fs.readFileSync(file, 'utf8'))
    ours.writeFileSync(file, 'short again')
    same((fs) => fs.readFileSync(file, 'utf8'))
  },
  'a mode is that of the new file': () => {
    ours.closeSync(ours.openSync(join(dir, 'mode'), 'wx', 0o600))
    equal(real.statSync(join(dir, 'mode')).mode & 0o777, 0o600)
    ours.appendFileSync(join(dir, 'log'), 'x', { mode: 0o640 })
    equal(real.statSync(join(dir, 'log')).mode & 0o777, 0o640)
  },
  'descriptors are read from, written to and synced': () => {
    const fd = ours.openSync(file, 'w')
    ours.writeFileSync(fd, LONG)
    ours.fsyncSync(fd)
    equal(ours.writeSync(fd, 'ab'), 2)
    equal(ours.writeSync(fd, new TextEncoder().encode('abcd'), 3), 1)
    ours.closeSync(fd)
    equal(real.readFileSync(file, 'utf8'), `${LONG}abd`)
    const from = ours.openSync(file, 'r')
    const buffer = Buffer.alloc(3)
    equal([ours.readSync(from, buffer), buffer.toString()], [3, 'xxx'])
    ours.closeSync(from)
    equal(
      outcome(() => ours.closeSync(from)),
      { code: 'EBADF', errno: -9, isNamed: true },
    )
  },
  'links and names': () => {
    const link = join(dir, 'link')
    ours.symlinkSync('☃ target', link)
    equal(real.readlinkSync(link), '☃ target')
    same((fs) => fs.readlinkSync(link))
    // Node names the target; the name that could not be made is what helps.
    equal(
      outcome(() => ours.symlinkSync('x', link)),
      { code: 'EEXIST', errno: -17, path: link, isNamed: true },
    )
    ours.renameSync(link, `${link}2`)
    same((fs) => fs.readlinkSync(link))
    ours.unlinkSync(`${link}2`)
    same((fs) => fs.unlinkSync(`${link}2`))
    same((fs) => fs.readlinkSync(file))
  },
  'what is known of a file': () => {
    for (const at of [file, dir, '/dev/null', '/proc/self/ns/net']) {
      same((fs) => {
        const { dev, ino, mode, size } = fs.statSync(at)
        return { dev, ino, mode, size }
      })
      same((fs) => {
        const { dev, ino } = fs.statSync(at, { bigint: true })
        return { dev, ino }
      })
      same((fs) => [fs.statSync(at).isDirectory(), fs.existsSync(at)])
    }
    const fd = real.openSync('/dev/null', 'r')
    same((fs) => [fs.fstatSync(fd).ino, fs.fstatSync(fd).isCharacterDevice()])
    same((fs) => fs.statfsSync('/proc').type)
  },
  'what is not there': () => {
    same((fs) => fs.statSync(absent))
    same((fs) => fs.statSync(absent, { throwIfNoEntry: false }))
    equal(ours.statSync(join(file, 'below'), { throwIfNoEntry: false }), undefined)
    same((fs) => fs.existsSync(absent))
    same((fs) => fs.readFileSync(absent, 'utf8'))
    same((fs) => fs.openSync(join(file, 'below'), 'r'))
    same((fs) => fs.openSync(file, 'wx'))
    same((fs) => fs.renameSync(absent, file))
    same((fs) => fs.statfsSync(absent))
  },
  'what goes wrong': () => {
    same((fs) => fs.writeFileSync('/dev/full', 'x'))
    same((fs) => fs.readFileSync(dir, 'utf8'))
    same((fs) => fs.openSync(dir, 'w'))
    equal(
      outcome(() => ours.statSync(`${file}\0x`)),
      { code: 'ERR_INVALID_ARG_VALUE', isNamed: false },
    )
  },
  paths: () => {
    for (const at of ['/a/b/c.json', '/a', '/var/lib/flatnet']) {
      equal([path.dirname(at), path.basename(at)], [join(at, '..'), at.split('/').at(-1)])
    }
    equal(path.join('/var/lib', 'ipam', 'net'), join('/var/lib', 'ipam', 'net'))
  },
}

let failed = 0
try {
  for (const [name, check] of Object.entries(CHECKS)) {
    try {
      check()
      process.stdout.write(`ok ${name}\n`)
    } catch (err) {
      failed++
      process.stdout.write(`not ok ${name}: ${err instanceof Error ? err.message : String(err)}\n`)
    }
  }
} finally {
  real.rmSync(dir, { recursive: true, force: true })
}
process.exitCode = failed === 0 ? 0 : 1
