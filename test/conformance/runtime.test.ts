/** The runtime inside the executable must not show: not by the caller's environment, folder or arguments. */
import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { executables } from '../helpers/run/executable.ts'

/** What a person's shell may hold for their own Node or Bun, and what would make another program of a compiled one. */
const FOREIGN: Readonly<Record<string, string>> = {
  NODE_OPTIONS: '--require /nonexistent/x.js',
  NODE_DEBUG: 'net',
  NODE_V8_COVERAGE: '',
  BUN_BE_BUN: '1',
  BUN_OPTIONS: '--preload /nonexistent/x.js',
  BUN_INSPECT: 'ws://127.0.0.1:6499/x',
  BUN_INSPECT_PRELOAD: '/nonexistent/x.js',
  BUN_CONFIG_VERBOSE_FETCH: '1',
}

/** In the working directory: each of these is read by one of the runtimes where it is started as itself. */
const FILES: Readonly<Record<string, string>> = {
  '.env': 'CNI_COMMAND=ADD\nCNI_CONTAINERID=x\n',
  'bunfig.toml': 'preload = ["./preload.js"]\n',
  'preload.js': 'console.log("preloaded")\n',
  'package.json': '{ "type": "module", "imports": 5 }',
  'tsconfig.json': '{ "extends": "./none.json" }',
}

for (const executable of executables()) {
  // The sources run by a person's own Node, which has its variables.
  if (executable.name === 'source') continue
  t.test(executable.name, async (t) => {
    const cwd = t.testdir({})
    mkdirSync(cwd, { recursive: true })
    for (const [name, text] of Object.entries(FILES)) writeFileSync(join(cwd, name), text)
    const run = (env: Readonly<Record<string, string>>, args: readonly string[] = [], input = '') =>
      spawnSync(executable.path, args, { cwd, env, input, encoding: 'utf8' })

    const plain = run({ CNI_COMMAND: 'VERSION' })
    t.equal(plain.status, 0)
    t.equal(plain.stderr, '')
    for (const [name, value] of Object.entries(FOREIGN)) {
      const ran = run({ CNI_COMMAND: 'VERSION', [name]: value })
      t.match(
        ran,
        { status: 0, stdout: plain.stdout, stderr: name === 'NODE_DEBUG' ? String : '' },
        `${name}=${value}`,
      )
    }
    t.test('arguments are not the runtime’s', async (t) => {
      for (const args of [['--version'], ['-e', 'console.log(1)'], ['--help'], ['run', 'x']]) {
        const { status, stdout } = run({ CNI_COMMAND: 'VERSION' }, args)
        t.match({ status, stdout }, { status: 0, stdout: plain.stdout }, args.join(' '))
      }
    })
    t.test(
      'the working directory was deleted: Podman cleans up where its container was started',
      async (t) => {
        const script = 'mkdir "$0/gone" && cd "$0/gone" && rmdir "$0/gone" && exec "$1"'
        const gone = (env: Readonly<Record<string, string>>, input = '') =>
          spawnSync('/bin/sh', ['-c', script, cwd, executable.path], { env, input, encoding: 'utf8' })
        t.match(gone({ CNI_COMMAND: 'VERSION' }), { status: 0, stdout: plain.stdout, stderr: '' })
        const status = gone({ CNI_COMMAND: 'STATUS' }, '{')
        t.match(JSON.parse(status.stdout), { code: 6 }, 'the verbs that are loaded later, too')
      },
    )
    t.test('an error is one object on stdout and exit code 1', async (t) => {
      const { status, stdout, stderr } = run({ CNI_COMMAND: 'STATUS' }, [], '{')
      t.equal(status, 1)
      t.equal(stderr, '')
      t.match(JSON.parse(stdout), { code: 6 })
    })
    t.test('a stdin that cannot be read is code 5', async (t) => {
      const folder = openSync(cwd, 'r')
      t.teardown(() => closeSync(folder))
      const env = { CNI_COMMAND: 'STATUS' }
      const ran = spawnSync(executable.path, [], { env, stdio: [folder, 'pipe', 'pipe'], encoding: 'utf8' })
      t.match(ran, { status: 1, stderr: '' })
      t.match(JSON.parse(ran.stdout), { code: 5, msg: /stdin/, details: /EISDIR/ })
    })
    // With the command line it speaks for the whole program.
    if (executable.hasCli) return
    t.test('without CNI_COMMAND the plugin role says what it is', async (t) => {
      const { status, stdout, stderr } = run({})
      t.equal(status, 0)
      t.equal(stdout, '')
      t.match(stderr, /^CNI flatnet plugin v\d.*\nCNI protocol versions supported: 0\.3\.0, .*1\.1\.0\n$/)
    })
  })
}
