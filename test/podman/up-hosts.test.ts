/**
 * bin/up --hosts 3: three hosts in namespaces, each with Podman and gateway; again, after accidents, and back to
 * nothing.
 */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Background, type Machine, machine } from '../helpers/kernel/machine.ts'
import { get } from '../helpers/podman/host.ts'
import { podmanMissing } from '../helpers/podman/runtime.ts'
import { ROOT } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const UP = join(ROOT, 'bin/up')
// What the other suites test is what this one runs, also while the sources are edited.
process.env['FLATNET_KEEP_BUILD'] = '1'
/** For what no bound is set to here: a direct path is looked for less often the longer it was broken. */
const PATIENCE_MS = 60_000
const options = { skip: podmanMissing(), timeout: 600_000 }

/**
 * All that a run could leave: it must not differ from what was there before. Of the disk what this machine itself
 * wrote; mounts and cgroups of other tests are seen here too, and left out: find(1) fails where one goes meanwhile.
 */
const state = (m: Machine) =>
  m.sh(`ip -o link | cut -d: -f2
    ip -4 route show table all
    ip netns
    nft list ruleset
    grep -Ev ' /(run/netns|tmp)/' /proc/mounts
    find /sys/fs/cgroup -name "flatnet-demo-$(readlink /proc/self/ns/pid | tr -dc 0-9)" || true
    find ${m.dir}/over ${m.dir}/containers /run /dev/shm -ignore_readdir_race | sort`)

/** Beyond process 1 and those that look. */
async function processes(m: Machine): Promise<string[]> {
  const all = (await m.exec('ps', '-eo', 'pid=,comm=')).trim().split('\n')
  return all.map((line) => line.trim()).filter((line) => !/^1 |^\d+ ps$/.test(line))
}

const up = (m: Machine, ...args: string[]) => m.run(['bash', UP, ...args], { timeoutMs: 250_000 })

async function downToNothing(t: Test, m: Machine, before: string): Promise<void> {
  const ran = await up(m, '--down')
  t.equal(ran.rc, 0, ran.stdout + ran.stderr)
  t.equal(await state(m), before)
  t.strictSame(await processes(m), [])
}

t.test('three hosts', options, async (t) => {
  const m = await machine(t)
  const before = await state(m)
  const page = (host: number, container: number) => get(m, `http://198.18.0.${host}:8080/~demo${container}/`)
  const hello = (host: number) => ({
    status: 200,
    body: `Hello from the container on host ${host}, by the flat network.\n`,
  })

  t.test('up', async (t) => {
    const ran = await up(m, '--hosts', '3')
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.match(ran.stdout, 'Hello from the container on host 3')
    t.match(ran.stdout, 'http://198.18.0.1:8080/~demo3/')
    t.match(await page(1, 3), hello(3), 'a container on host 3, by the gateway of host 1')
    t.match(await page(3, 1), hello(1), 'and the other way round')
  })
  t.test('each host has a Podman of its own, and nothing that Flatnet finds wrong', async (t) => {
    for (const n of ['1', '2', '3']) {
      const names = await up(m, '--on', n, 'podman', 'ps', '-a', '--format', '{{.Names}}')
      t.equal(names.stdout, `demo${n}\n`)
      const doctor = await up(m, '--on', n, 'flatnet', 'doctor')
      t.equal(doctor.rc, 0, doctor.stdout)
    }
  })
  t.test('a container finds one of another host by its name', async (t) => {
    const image = (await up(m, '--on', '2', 'podman', 'ps', '--format', '{{.Image}}')).stdout.trim()
    const wget = ['podman', 'run', '--rm', '--network', 'flatnet', image, 'wget', '-qO-', 'http://demo1']
    const ran = await up(m, '--on', '2', ...wget)
    t.equal(ran.stdout, hello(1).body, ran.stderr)
  })
  t.test('paths are direct; UDP is broken and healed by one command each', async (t) => {
    const stateOf2 = async (): Promise<string> => {
      const { stdout } = await up(m, '--on', '1', 'flatnet', 'status', '--json')
      const { paths }: { paths: readonly { hostId: number; state: string }[] } = JSON.parse(stdout)
      return paths.find(({ hostId }) => hostId === 2)?.state ?? ''
    }
    await waitFor('host 2 is direct', PATIENCE_MS, async () => (await stateOf2()) === 'P2P_ACTIVE')
    const broken = await up(m, '--break', 'udp', '1', '2')
    t.equal(broken.rc, 0, broken.stderr)
    // Tries follow each other, and a look takes a second on a busy machine: it may meet none of the rests between them.
    await waitFor('host 2 goes by the gateway', PATIENCE_MS, async () =>
      ['GATEWAY_FALLBACK', 'P2P_ATTEMPTING'].includes(await stateOf2()),
    )
    t.match(
      (await up(m, '--on', '1', 'flatnet', 'status')).stdout,
      /host 2 is not direct: [\s\S]*UDP\s+stopped\s+answering/,
    )
    t.match(await page(1, 2), hello(2), 'the page comes all the same')
    const healed = await up(m, '--heal')
    t.equal(healed.rc, 0, healed.stderr)
    await waitFor('host 2 is direct again', PATIENCE_MS, async () => (await stateOf2()) === 'P2P_ACTIVE')
    t.match((await up(m, '--break', 'udp', '1', '7')).stderr, /no host "7" runs here/)
  })
  t.test('up again, with one host lost: it comes back, the others stay', async (t) => {
    const ids = async (host: string) => (await up(m, '--on', host, 'podman', 'ps', '-q')).stdout
    const [first, second] = [await ids('1'), await ids('2')]
    await m.sh(`kill -9 $(pgrep -f '^unshare .*demo-host.sh h2$')`)
    const ran = await up(m, '--hosts', '3')
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.equal(await ids('1'), first)
    t.not(await ids('2'), second)
    t.match(await page(1, 2), hello(2))
  })
  t.test('fewer hosts than there are: refused', async (t) => {
    const ran = await up(m, '--hosts', '2')
    t.equal(ran.rc, 1)
    t.match(ran.stderr, /3 hosts run already/)
  })
  t.test('down, twice: nothing is left', async (t) => {
    await downToNothing(t, m, before)
    await downToNothing(t, m, before)
  })
  t.test('killed half-way, then down', async (t) => {
    const begin = async (at: string): Promise<Background> => {
      const run = await m.start(['bash', UP, '--hosts', '3'], { name: 'up' })
      await waitFor(`bin/up is at "${at}"`, 60_000, () => run.log().includes(at))
      return run
    }
    const alone = await begin('- Making host 2')
    await alone.kill('SIGKILL')
    await downToNothing(t, m, before)
    const group = await begin('- Starting the container demo2')
    await m.run(['kill', '-9', `-${group.pid}`])
    await downToNothing(t, m, before)
  })
})

t.test('what is not its own', options, async (t) => {
  const m = await machine(t)
  t.test('a network of the machine is not used twice, and a runtime that fails is left', async (t) => {
    // Where it is, Podman takes it.
    await m.sh(`printf '#!/bin/sh\\nexit 1\\n' >/usr/local/bin/crun; chmod 755 /usr/local/bin/crun`)
    await m.sh('ip link add lan type bridge; ip addr add 198.18.0.7/16 dev lan; ip link set lan up')
    const before = await state(m)
    const ran = await up(m, '--hosts', '2')
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.match(ran.stdout, 'http://198.19.200.1:8080/~demo2/')
    t.match(ran.stdout, '--runtime runc')
    await downToNothing(t, m, before)
  })
  t.test('Flatnet of the machine itself, installed by hand, outlives --down', async (t) => {
    await m.exec(join(ROOT, 'dist/flatnet'), 'install', '--no-executables')
    const before = await state(m)
    const ran = await up(m, '--down')
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.match(ran.stdout, 'flatnet uninstall')
    t.equal(await state(m), before)
  })
  t.test('numbers that make no sense', async (t) => {
    for (const number of ['1', '10', 'many', '']) {
      const ran = await up(m, '--hosts', number)
      t.equal(ran.rc, 1)
      t.match(ran.stderr, /2 to 9/)
    }
  })
})
