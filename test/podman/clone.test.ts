/**
 * The README's two commands on a bare clone: nothing of ours is installed, built or on PATH, and there is no network
 * but npm's cache.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { leftovers } from '../helpers/kernel/leftovers.ts'
import { type Machine, machine, type Ran } from '../helpers/kernel/machine.ts'
import { get } from '../helpers/podman/host.ts'
import { podmanMissing } from '../helpers/podman/runtime.ts'
import { ROOT } from '../helpers/run/executable.ts'

const notHere = (): string | false =>
  podmanMissing() || (!existsSync(join(ROOT, '.git')) && 'this is no git checkout: there is nothing to clone')

/** As a person's shell, without what npm and tap put into a test's. */
const PATH = (process.env['PATH'] ?? '')
  .split(':')
  .filter((dir) => !dir.includes('node_modules'))
  .join(':')
const CLEAN = ['env', '-i', `PATH=${PATH}`, `HOME=${homedir()}`, 'npm_config_offline=true']

class Clone {
  readonly m: Machine
  readonly dir: string

  constructor(m: Machine) {
    this.m = m
    this.dir = join(m.dir, 'clone')
    execFileSync('git', ['clone', '--quiet', ROOT, this.dir])
  }

  run(...argv: string[]): Promise<Ran> {
    return this.m.run([...CLEAN, 'sh', '-c', 'cd "$1" && shift && exec "$@"', 'clone', this.dir, ...argv], {
      timeoutMs: 500_000,
    })
  }
}

t.test('a bare clone', { skip: notHere(), timeout: 600_000 }, async (t) => {
  const m = await machine(t)
  const lan = await m.neighbour()
  const clone = new Clone(m)

  t.test('bin/test says what it takes, with nothing installed', async (t) => {
    const ran = await clone.run('bin/test', '--help')
    t.equal(ran.rc, 0, ran.stderr)
    t.match(ran.stdout, /bin\/test \[check\|unit\|loopback\|netns/)
    const wrong = await clone.run('bin/test', 'unti')
    t.equal(wrong.rc, 1)
    t.match(wrong.stderr, /no suite and no test is called unti/)
    t.notOk(existsSync(join(clone.dir, 'node_modules')))
  })

  t.test('bin/up: npm ci, build, and a page', async (t) => {
    let ran = await clone.run('bin/up')
    if (/ENOTCACHED/.test(ran.stdout + ran.stderr)) {
      t.comment(
        'note: the npm cache is not complete; bin/up on a clone was tried with a copy of node_modules',
      )
      await m.sh(`rm -rf ${clone.dir}/node_modules; cp -a ${ROOT}/node_modules ${clone.dir}/`)
      ran = await clone.run('bin/up')
    }
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.match(ran.stdout, 'Hello from a container on the flat network.')
    t.match((await get(lan, `http://${lan.machineIp}:8080/~flatnet-demo/`)).body, /^Hello from a container/)
    t.equal(
      (await clone.run('git', 'status', '--porcelain')).stdout,
      '',
      'nothing in the checkout is changed',
    )
  })

  t.test('bin/test, a part of it', async (t) => {
    const ran = await clone.run('bin/test', 'test/unit/core', 'test/unit/plugin/versions.test.ts')
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.match(ran.stdout, /ok {5}test\/unit\/core\/addr\.test\.ts/)
    t.match(ran.stdout, /\n\d+ passed, 0 failed, 0 skipped\n$/)
  })

  t.test('bin/up --down', async (t) => {
    const ran = await clone.run('bin/up', '--down')
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.strictSame(await leftovers(m, '/var/lib/flatnet'), [])
  })
})
