/**
 * The README's commands on Debian 13: from a clone to a page, a part of the tests, several hosts, and back to nothing.
 *
 * The packages of npm and the executable are this machine's, read-only: Debian 13's npm alone is 400 packages, and
 * test/podman/clone.test.ts builds from a clone. All else is as on a new machine.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { leftovers } from '../helpers/kernel/leftovers.ts'
import { machine } from '../helpers/kernel/machine.ts'
import { get } from '../helpers/podman/host.ts'
import { PODMAN5 } from '../helpers/podman/runtime.ts'
import { ROOT } from '../helpers/run/executable.ts'

const notHere = (): string | false =>
  PODMAN5.missing() ||
  (!existsSync(join(ROOT, '.git')) && 'this is no git checkout: there is nothing to clone')

/** crun on this machine's hybrid cgroups; a real Debian 13 has cgroup v2 and needs no such line. */
const WITHOUT_CGROUPS = `[containers]
cgroups = "disabled"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`

t.test('a clone on Debian 13', { skip: notHere(), timeout: 300_000 }, async (t) => {
  const m = await machine(t, PODMAN5.system)
  const lan = await m.neighbour()
  const clone = join(m.dir, 'clone')
  execFileSync('git', ['clone', '--quiet', ROOT, clone])
  await m.run(['sh', '-c', 'cat >/etc/containers/containers.conf'], { input: WITHOUT_CGROUPS })
  // Older than the packages that were installed by it, as it is where they were.
  await m.sh(`ln -s ${ROOT}/node_modules ${ROOT}/dist ${clone}
    touch -r ${ROOT}/node_modules/.package-lock.json ${clone}/package-lock.json`)
  const env = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/root', 'FLATNET_KEEP_BUILD=1']
  const run = (...argv: string[]) =>
    m.run([...env, 'sh', '-c', 'cd "$1" && shift && exec "$@"', 'clone', clone, ...argv], {
      timeoutMs: 250_000,
    })

  t.test('bin/up: a page on the LAN, by netavark', async (t) => {
    const ran = await run('bin/up')
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.match(ran.stdout, 'Hello from a container on the flat network.')
    t.match(await m.exec('podman', '--version'), /podman version 5\./)
    t.match(await m.exec('podman', 'info', '--format', '{{.Host.NetworkBackend}}'), 'netavark')
    const page = await get(lan, `http://${lan.machineIp}:8080/~flatnet-demo/`)
    t.match(page, { status: 200, body: /^Hello from a container/ })
  })
  t.test('the command it installed', async (t) => {
    t.match(await m.exec('flatnet', 'ps'), 'flatnet-demo')
    const doctor = await m.run(['flatnet', 'doctor'])
    t.equal(doctor.rc, 0, doctor.stdout + doctor.stderr)
    t.match(doctor.stdout, /Podman 5\.\S+ uses netavark/)
  })
  t.test('bin/up again: what is there stays', async (t) => {
    const before = await m.exec('podman', 'ps', '-q')
    const ran = await run('bin/up')
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.equal(await m.exec('podman', 'ps', '-q'), before, 'the same container')
  })
  t.test('bin/test, a part of it', async (t) => {
    const ran = await run('bin/test', 'test/unit/core/addr.test.ts')
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.match(ran.stdout, /\n\d+ passed, 0 failed, 0 skipped\n$/)
  })
  t.test('bin/up --down: nothing is left', async (t) => {
    const ran = await run('bin/up', '--down')
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.strictSame(await leftovers(m, '/var/lib/flatnet'), [])
    t.equal(await m.sh('find /etc /var/lib /opt /usr/local /run /var/log -name "*flatnet*" 2>/dev/null'), '')
    t.equal(await m.exec('nft', 'list', 'ruleset'), '')
  })
  t.test('bin/up --hosts 2: a container finds one of the other host by its name', async (t) => {
    // These hosts have a containers.conf of their own, and crun finds no controller for a limit (see WITHOUT_CGROUPS).
    await m.sh(`printf '[containers]\\npids_limit = 0\\n' >/usr/share/containers/containers.conf`)
    const ran = await run('bin/up', '--hosts', '2')
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    const image = (await run('bin/up', '--on', '2', 'podman', 'ps', '--format', '{{.Image}}')).stdout.trim()
    const wget = ['podman', 'run', '--rm', '--network', 'flatnet', image, 'wget', '-qO-', 'http://demo1']
    const page = await run('bin/up', '--on', '2', ...wget)
    t.equal(page.stdout, 'Hello from the container on host 1, by the flat network.\n', page.stderr)
    const down = await run('bin/up', '--down')
    t.equal(down.rc, 0, down.stdout + down.stderr)
  })
})
