/** `podman network create --driver flatnet`. Podman 4's CNI can make no network of another's plugin, so on 5 alone. */
import t from 'tap'
import { IMAGE } from '../helpers/cni/image.ts'
import { get, podmanHost } from '../helpers/podman/host.ts'
import { plugin } from '../helpers/podman/run.ts'
import { PODMAN5 } from '../helpers/podman/runtime.ts'

t.test('a network that a person makes', { skip: PODMAN5.missing(), timeout: 300_000 }, async (t) => {
  const [executable] = plugin()
  if (executable === undefined) throw new Error('there is always an executable')
  const host = await podmanHost(t, executable, { runtime: PODMAN5 })
  const create = (name: string, ...args: string[]) =>
    host.podman('network', 'create', '--driver', 'flatnet', ...args, name)

  t.test('with its own numbers', async (t) => {
    const options = ['--opt', 'hostId=7', '--opt', `dataDir=${host.dataDir}`, '--interface-name', 'flatnet7']
    const made = await create('seventh', ...options)
    t.equal(made.rc, 0, made.stderr)
    const [network] = JSON.parse(await host.pod('network', 'inspect', 'seventh'))
    t.match(network, { driver: 'flatnet', ipam_options: { driver: 'flatnet' } })
    await host.web('web', '--network', 'seventh')
    t.equal(await host.address('web', 'seventh'), '10.100.7.10')
    t.equal((await get(host.m, 'http://10.100.7.10/')).status, 200)
    t.match(await host.m.exec('ip', 'addr', 'show', 'flatnet7'), 'inet 10.100.7.1/24')
  })
  t.test('without a number: the error names the key', async (t) => {
    const made = await create('nobodys')
    t.not(made.rc, 0)
    t.match(made.stderr, /hostId/)
  })
  t.test('network rm takes the containers along', async (t) => {
    await host.pod('network', 'rm', '-f', '-t', '0', 'seventh')
    t.strictSame(await host.gone(), [])
    const ran = await host.podman('run', '--rm', '--network', 'seventh', IMAGE, 'true')
    t.not(ran.rc, 0)
  })
})
