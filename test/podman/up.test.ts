/** bin/up, the README's first command: from nothing to a page in the browser, again, and back to nothing. */
import { join } from 'node:path'
import t from 'tap'
import { imageTar } from '../helpers/cni/image.ts'
import { leftovers } from '../helpers/kernel/leftovers.ts'
import { machine } from '../helpers/kernel/machine.ts'
import { netnsProgram } from '../helpers/kernel/netns-programs.ts'
import { get } from '../helpers/podman/host.ts'
import { podmanMissing } from '../helpers/podman/runtime.ts'
import { ROOT } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const UP = join(ROOT, 'bin/up')
// What the other suites test is what this one installs, also while the sources are edited.
process.env['FLATNET_KEEP_BUILD'] = '1'
const options = { skip: podmanMissing(), timeout: 300_000 }

t.test('a Podman without containers', options, async (t) => {
  const m = await machine(t)
  const lan = await m.neighbour()
  const up = async (...args: string[]) => m.run(['bash', UP, ...args], { timeoutMs: 250_000 })

  t.test('up', async (t) => {
    const ran = await up()
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.match(ran.stdout, 'Hello from a container on the flat network.')
    t.match(ran.stdout, `http://${lan.machineIp}:8080/~flatnet-demo/`)
    const page = await get(lan, `http://${lan.machineIp}:8080/~flatnet-demo/`)
    t.match(page, { status: 200, body: /^Hello from a container/ }, 'the LAN sees it')
    t.match(await m.exec('podman', 'info', '--format', '{{.Host.NetworkBackend}}'), 'cni')
  })
  t.test('up again: what is there stays', async (t) => {
    const before = await m.exec('podman', 'ps', '-q')
    const ran = await up()
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
    t.equal(await m.exec('podman', 'ps', '-q'), before, 'the same container')
    t.equal((await get(lan, `http://${lan.machineIp}:8080/~flatnet-demo/`)).status, 200)
  })
  t.test('the command it installed', async (t) => {
    t.match(await m.exec('flatnet', 'ps'), 'flatnet-demo')
    const doctor = await m.run(['flatnet', 'doctor'])
    t.equal(doctor.rc, 0, doctor.stdout + doctor.stderr)
  })
  t.test('podman network prune took the conflist: doctor says so, up repairs it', async (t) => {
    await m.exec('podman', 'rm', '-f', '-t', '0', 'flatnet-demo')
    await m.exec('podman', 'network', 'prune', '-f')
    const doctor = await m.run(['flatnet', 'doctor'])
    t.not(doctor.rc, 0)
    t.match(doctor.stdout, /prune/)
    const ran = await up()
    t.equal(ran.rc, 0, ran.stdout + ran.stderr)
  })
  t.test('down, twice: nothing is left', async (t) => {
    for (const _ of [1, 2]) {
      const ran = await up('--down')
      t.equal(ran.rc, 0, ran.stdout + ran.stderr)
      t.strictSame(await leftovers(m, '/var/lib/flatnet'), [])
      const links: { ifname: string }[] = await m.json('ip', '-j', 'link')
      t.strictSame(links.map(({ ifname }) => ifname).sort(), ['lan0', 'lo'])
      t.equal(await m.exec('nft', 'list', 'ruleset'), '')
      const left = await m.sh(
        'find /etc /var/lib /opt /usr/local /run /var/log -name "*flatnet*" 2>/dev/null',
      )
      t.equal(left, '')
      t.notMatch(await m.exec('ps', '-eo', 'args='), /flatnet gateway|conmon/)
      t.equal(await m.exec('podman', 'images', '-q'), '')
    }
  })
  t.test(
    'killed half-way, then up: nothing stands in its way; and another port where 8080 is taken',
    async (t) => {
      const taken = await m.start(netnsProgram('serve', '8080'))
      await waitFor('8080 is taken', 10_000, () => taken.log().includes('listening'))
      for (const seconds of ['1', '2', '3']) await m.run(['timeout', '-s', 'KILL', seconds, 'bash', UP])
      const ran = await up()
      t.equal(ran.rc, 0, ran.stdout + ran.stderr)
      t.equal((await get(lan, `http://${lan.machineIp}:8081/~flatnet-demo/`)).status, 200)
      await taken.kill('SIGKILL')
      t.equal((await up('--down')).rc, 0)
    },
  )
  t.test('down, then up', async (t) => {
    t.equal((await up()).rc, 0)
    t.equal((await up('--down')).rc, 0)
  })
})

t.test('what bin/up does not do', options, async (t) => {
  const m = await machine(t)
  const unknown = await m.run(['bash', UP, '--sideways'])
  t.equal(unknown.rc, 1)
  t.match(unknown.stderr, '--sideways')
  // Under another name: the way to this folder may be closed to others.
  await m.sh(`mkdir /opt/flatnet && mount --bind ${ROOT} /opt/flatnet`)
  const someone = await m.run(['setpriv', '--reuid=65534', '--clear-groups', 'bash', '/opt/flatnet/bin/up'])
  t.equal(someone.rc, 1)
  t.match(someone.stderr, /root/)
  const nothing = await m.run(['bash', UP, '--down'])
  t.equal(nothing.rc, 0, nothing.stderr)
})

t.test('a Podman that has containers on another backend is left alone', options, async (t) => {
  const m = await machine(t)
  const limits = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=4096:4096']
  await m.exec('podman', 'import', '-q', imageTar(), 'localhost/mine:1')
  await m.exec(
    'podman',
    '--runtime',
    'runc',
    'run',
    '-d',
    '--name',
    'mine',
    '--network',
    'none',
    ...limits,
    'localhost/mine:1',
    '/bin/sleep',
    '1000',
  )
  const before = await m.exec('podman', 'info', '--format', '{{.Host.NetworkBackend}}')
  t.match(before, 'netavark')
  const ran = await m.run(['bash', UP], { timeoutMs: 250_000 })
  t.equal(ran.rc, 0, ran.stdout + ran.stderr)
  t.match(ran.stdout, 'Hello from a container')
  t.equal(await m.exec('podman', 'info', '--format', '{{.Host.NetworkBackend}}'), before)
  t.match(await m.exec('podman', 'ps', '--format', '{{.Names}}'), /^mine\n$/)
  const down = await m.run(['bash', UP, '--down'])
  t.equal(down.rc, 0, down.stdout + down.stderr)
  t.match(await m.exec('podman', 'ps', '--format', '{{.Names}}'), /^mine\n$/, 'what was there is there')
  t.strictSame(await leftovers(m, '/var/lib/flatnet'), [])
})
