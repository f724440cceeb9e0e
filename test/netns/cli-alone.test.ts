/**
 * The executable runs alone: in an empty folder, with an empty environment, where there is no Node and no file beside
 * it.
 */
import { spawnSync } from 'node:child_process'
import { linkSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { executables, ROOT } from '../helpers/run/executable.ts'

const packed = executables().filter(({ name }) => name !== 'source')

for (const { name, path, hasCli } of packed) {
  t.test(`${name} alone`, async (t) => {
    // Beside dist, so that a link is possible: a copy of 144 MB per test is not needed.
    const dir = mkdtempSync(join(ROOT, 'dist/.alone-'))
    t.teardown(() => rmSync(dir, { recursive: true }))
    const exe = join(dir, 'flatnet')
    linkSync(path, exe)
    const cwd = mkdtempSync(join(tmpdir(), 'ft-alone-'))
    t.teardown(() => rmSync(cwd, { recursive: true }))
    const run = (args: readonly string[], env: Record<string, string> = {}) =>
      spawnSync(exe, args, { cwd, env, encoding: 'utf8', input: '' })

    const version = run([], { CNI_COMMAND: 'VERSION' })
    t.equal(version.status, 0)
    t.equal(version.stderr, '', 'no warning of the runtime')
    t.match(JSON.parse(version.stdout).supportedVersions, ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'])

    const about = run([])
    t.equal(about.status, 0)
    t.equal(about.stdout, '', 'CNI: nothing on stdout without CNI_COMMAND')
    t.match(about.stderr, /CNI protocol versions supported: 0\.3\.0/)

    if (!hasCli) return
    const cutOff = spawnSync('sh', ['-c', `"${exe}" --help | true`], { encoding: 'utf8' })
    t.equal(cutOff.stderr, '', 'a reader that has seen enough is no error')
    const german = run(['--help'], { LANG: 'de_DE.UTF-8', LC_ALL: 'de_DE.UTF-8' })
    t.match(german.stdout, /Commands:/, 'English everywhere')
    const yaml = join(cwd, 'f.yaml')
    writeFileSync(yaml, `hostId: 1\napi: { socket: ${join(cwd, 'none.sock')} }\n`)
    const status = run(['status', '--config', yaml, '--cni-conf-dir', '/none'])
    t.equal(status.status, 1)
    t.match(status.stderr, /none\.sock: no such socket[\s\S]*next: /)
    const full = spawnSync('sh', ['-c', `"${exe}" --help >/dev/full`], { encoding: 'utf8' })
    t.equal(full.status, 1)
    t.match(full.stderr, /^flatnet: stdout cannot be written: ENOSPC.*\n$/, 'one line, no stack')
    const dry = run([
      'install',
      '--dry-run',
      '--no-service',
      '--cni-conf-dir',
      '/none',
      '--config',
      '/none/f.yaml',
    ])
    t.equal(dry.status, 0, 'the templates are inside')
    t.match(dry.stdout, /would write \/none\/10-flatnet\.conflist/)
  })
}

t.test('the executables', { skip: packed.length === 0 && 'there is no dist/: npm run build' }, async (t) => {
  t.ok(packed.length > 0)
})
