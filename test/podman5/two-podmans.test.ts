/** A host with Podman 4 and one with Podman 5 in one cluster: installed by the same commands, they reach each other. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { IMAGE, imageTar } from '../helpers/cni/image.ts'
import { type Machine, machine } from '../helpers/kernel/machine.ts'
import { get, type Place } from '../helpers/podman/host.ts'
import { PODMAN4, PODMAN5, type PodmanRuntime } from '../helpers/podman/runtime.ts'
import { cliExecutable, executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

interface Host {
  readonly m: Machine
  readonly address: string
}

async function makeHost(t: Test, runtime: PodmanRuntime, address: string): Promise<Host> {
  const m = await machine(t, runtime.system)
  await m.run(['sh', '-c', 'mkdir -p /etc/containers; cat >/etc/containers/containers.conf'], {
    input: runtime.base,
  })
  await m.exec('podman', 'import', '-q', '-c', 'CMD ["/bin/httpd","-f","-h","/www"]', imageTar(), IMAGE)
  // As a package does it: copies of both executables would be most of this test's time.
  await m.exec('mkdir', '-p', runtime.pluginDir)
  await m.exec('ln', '-s', cliExecutable().path, '/usr/local/sbin/flatnet')
  const [plugin = cliExecutable()] = executables().filter(({ hasCli }) => !hasCli)
  await m.exec('ln', '-s', plugin.path, join(runtime.pluginDir, 'flatnet'))
  return { m, address }
}

/** Of the process namespace of a machine, as this process sees it. */
const netnsOf = ({ m }: Host): string => m.path('').replace(/root$/, 'ns/net')

async function connect(a: Host, b: Host): Promise<void> {
  const [pidA, pidB] = [a, b].map((host) => netnsOf(host).split('/')[2] ?? '')
  const args = [
    'link',
    'add',
    'lan0',
    'netns',
    pidA ?? '',
    'type',
    'veth',
    'peer',
    'name',
    'lan0',
    'netns',
    pidB ?? '',
  ]
  execFileSync('ip', args)
  for (const { m, address } of [a, b]) await m.sh(`ip addr add ${address}/24 dev lan0; ip link set lan0 up`)
}

const skip = PODMAN4.missing() || PODMAN5.missing()
t.test('one cluster', { skip, timeout: 300_000 }, async (t) => {
  const four = await makeHost(t, PODMAN4, '198.18.0.1')
  const five = await makeHost(t, PODMAN5, '198.18.0.2')
  await connect(four, five)
  t.match(await four.m.exec('flatnet', 'init', '--cluster', 'both', '--no-executables'), /Podman 4\.\S+: CNI/)
  await four.m.start(['flatnet', 'gateway'])
  const up = async ({ m }: Host) => (await m.run(['flatnet', 'status'])).rc === 0
  await waitFor('the gateway with Podman 4 answers', 15_000, () => up(four))
  const line = (await four.m.exec('flatnet', 'token')).trim().split('\n').at(-1) ?? ''
  const joined = await five.m.sh(`${line} --no-executables`)
  t.match(joined, /Podman 5\.\S+: netavark/)
  await five.m.start(['flatnet', 'gateway'])
  for (const { m } of [four, five])
    await waitFor('the hosts are linked', 20_000, async () =>
      /"linksUp": 1\b/.test((await m.run(['flatnet', 'status', '--json'])).stdout),
    )

  for (const [{ m }, name] of [
    [four, 'web4'],
    [five, 'web5'],
  ] as const)
    await m.exec('podman', 'run', '-d', '--name', name, '--network', 'flatnet', IMAGE)
  const addressOf = async ({ m }: Host, name: string): Promise<string> =>
    (
      await m.exec('podman', 'inspect', '--format', '{{.NetworkSettings.Networks.flatnet.IPAddress}}', name)
    ).trim()
  const [ip4, ip5] = [await addressOf(four, 'web4'), await addressOf(five, 'web5')]

  t.test('each has its own slice', async (t) => {
    t.equal(ip4, '10.100.1.10')
    t.equal(ip5, '10.100.2.10')
  })
  t.test('containers reach each other', async (t) => {
    const inside = async ({ m }: Host, name: string): Promise<Place> => {
      const netns = await m.exec('podman', 'inspect', '--format', '{{.NetworkSettings.SandboxKey}}', name)
      return { run: (argv) => m.run(['nsenter', `--net=${netns.trim()}`, '--', ...argv]) }
    }
    const [web4, web5] = [await inside(four, 'web4'), await inside(five, 'web5')]
    const answers = async () => (await get(web4, `http://${ip5}/`, {}, 2_000)).status === 200
    await waitFor('web4 reaches web5', 10_000, answers)
    t.match(await get(web5, `http://${ip4}/`), { status: 200, body: 'flatnet test page\n' })
  })
  t.test('and find each other by name', async (t) => {
    const wget = ({ m }: Host, name: string) =>
      m.exec('podman', 'run', '--rm', '--network', 'flatnet', IMAGE, 'wget', '-qO-', `http://${name}`)
    t.equal(await wget(five, 'web4'), 'flatnet test page\n', 'from Podman 5')
    t.equal(await wget(four, 'web5'), 'flatnet test page\n', 'from Podman 4')
  })
  t.test('each gateway serves the container of the other', async (t) => {
    t.match(await get(four.m, `http://${five.address}:8080/~web4/`), {
      status: 200,
      body: 'flatnet test page\n',
    })
    t.match(await get(five.m, `http://${four.address}:8080/~web5/`), {
      status: 200,
      body: 'flatnet test page\n',
    })
  })
  t.test('doctor finds nothing wrong on either', async (t) => {
    for (const { m } of [four, five]) {
      const doctor = await m.run(['flatnet', 'doctor'])
      t.equal(doctor.rc, 0, doctor.stdout)
    }
  })
  t.test('a container that stops is gone on the other host', async (t) => {
    await five.m.exec('podman', 'rm', '-f', '-t', '0', 'web5')
    await waitFor(
      'host 1 forgets web5',
      5_000,
      async () => !(await four.m.exec('flatnet', 'ps')).includes('web5'),
    )
    t.pass('gone')
  })
})
