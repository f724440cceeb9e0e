/** A container's life: stop, start, restart, kill, connect, disconnect, reload, and a network that is pruned. */
import { existsSync } from 'node:fs'
import type { Test } from 'tap'
import { waitFor } from '../../run/wait.ts'
import { get, podmanHost, unanswered } from '../host.ts'
import type { Target } from '../run.ts'

export async function life(t: Test, { runtime, executable }: Target): Promise<void> {
  const second = { name: 'second', plugin: { bridge: 'flatnet1' }, ipam: { hostId: 2 } }
  const host = await podmanHost(t, executable, { runtime, networks: [{}, second] })
  const answers = async (container: string, network?: string) =>
    (await get(host.m, `http://${await host.address(container, network)}/`)).status === 200

  t.test('restart: a new namespace, and it answers', async (t) => {
    await host.web('web', '-p', '8080:80')
    const before = (await host.inspect('web')).NetworkSettings.SandboxKey
    await host.pod('restart', '-t', '0', 'web')
    t.not((await host.inspect('web')).NetworkSettings.SandboxKey, before)
    t.ok(await answers('web'))
    t.equal((await get(host.m, 'http://127.0.0.1:8080/')).status, 200)
    t.equal(host.leases().length, 1)
  })

  t.test('stop leaves nothing, start brings it back', async (t) => {
    await host.pod('stop', '-t', '0', 'web')
    t.strictSame(await host.gone(), [])
    await host.pod('start', 'web')
    t.ok(await answers('web'))
  })

  t.test('seven restarts do not eat addresses', async (t) => {
    for (let i = 0; i < 7; i++) await host.pod('restart', '-t', '0', 'web')
    t.equal(host.leases().length, 1)
    t.ok(await answers('web'))
  })

  t.test('kill -9 of the process', async (t) => {
    const { Pid: pid } = (await host.inspect('web')).State
    await host.m.exec('kill', '-9', String(pid))
    await waitFor('Podman notices', 10_000, async () => !(await host.inspect('web')).State.Running)
    await waitFor('everything is gone', 10_000, async () => (await host.leftovers()).length === 0)
    await host.pod('start', 'web')
    t.ok(await answers('web'))
    await host.pod('rm', '-f', '-t', '0', 'web')
  })

  t.test('--restart always: killed, it comes back by itself', async (t) => {
    await host.web('always', '--restart', 'always', '-p', '8080:80')
    const before = (await host.inspect('always')).State.Pid
    await host.m.exec('kill', '-9', String(before))
    await waitFor('Podman starts it again', 10_000, async () => {
      const { State: state } = await host.inspect('always')
      return state.Running && state.Pid !== before && state.Pid !== 0
    })
    await waitFor('it answers', 10_000, () => answers('always'))
    t.equal((await get(host.m, 'http://127.0.0.1:8080/')).status, 200)
    t.equal(host.leases().length, 1)
    await host.pod('rm', '-f', '-t', '0', 'always')
    t.strictSame(await host.gone(), [])
  })

  t.test('network connect and disconnect', async (t) => {
    await host.web('web')
    await host.pod('network', 'connect', 'second', 'web')
    t.match(await host.address('web', 'second'), /^10\.100\.2\./)
    t.ok(await answers('web', 'second'))
    t.ok(await answers('web'), 'the first network still works')
    const first = (await host.inspect('web')).NetworkSettings.Networks['flatnet']
    await host.pod('network', 'disconnect', 'flatnet', 'web')
    t.equal(host.leases('flatnet').length, 0)
    t.ok(await answers('web', 'second'), 'the second network is not touched')
    await host.pod('network', 'connect', 'flatnet', 'web')
    const again = (await host.inspect('web')).NetworkSettings.Networks['flatnet']
    t.ok(await answers('web'))
    t.not(again?.IPAddress, first?.IPAddress, 'the address just released is not handed out again')
    t.not(again?.MacAddress, first?.MacAddress)
    await host.pod('rm', '-f', '-t', '0', 'web')
    t.strictSame(await host.gone(), [])
  })

  t.test('a port published on two networks outlives the disconnect of either', async (t) => {
    const published = async () => (await get(host.m, 'http://127.0.0.1:8080/')).status
    for (const [gone, left] of [
      ['flatnet', 'second'],
      ['second', 'flatnet'],
    ] as const) {
      await host.web('web', '--network', 'flatnet', '--network', 'second', '-p', '8080:80')
      await host.pod('network', 'disconnect', gone, 'web')
      t.equal(await published(), 200, `without ${gone}, at once`)
      await host.pod('network', 'connect', gone, 'web')
      await host.pod('network', 'disconnect', left, 'web')
      t.equal(await published(), 200, `${gone} again, without ${left}`)
      await host.pod('rm', '-f', '-t', '0', 'web')
      t.strictSame(await host.gone(), [])
    }
  })

  t.test('network reload: same address, same MAC, ports restored', async (t) => {
    await host.web('web', '-p', '8080:80')
    await host.web('fixed', '--ip', '10.100.1.99', '--mac-address', '02:00:00:00:00:99')
    const look = async (name: string) => (await host.inspect(name)).NetworkSettings.Networks['flatnet']
    const before = [await look('web'), await look('fixed')]
    await host.m.exec('nft', 'flush', 'ruleset')
    t.ok(await unanswered(host.m, 'http://127.0.0.1:8080/'), 'the firewall was flushed')
    await host.pod('network', 'reload', '--all')
    const after = [await look('web'), await look('fixed')]
    for (const [i, network] of before.entries()) {
      t.equal(after[i]?.IPAddress, network?.IPAddress)
      t.equal(after[i]?.MacAddress, network?.MacAddress)
    }
    t.equal((await get(host.m, 'http://127.0.0.1:8080/')).status, 200)
    t.ok(await answers('fixed'))
    await host.pod('rm', '-f', '-t', '0', 'web', 'fixed')
    t.strictSame(await host.gone(), [])
  })

  t.test('network prune deletes the file of an unused network', async (t) => {
    const file = host.networkPath('second')
    await host.web('web')
    await host.pod('network', 'prune', '-f')
    t.notOk(existsSync(file), 'Podman does that; it asks no plugin')
    t.ok(await answers('web'), 'the network in use stays')
    host.writeNetwork(second)
    await host.web('later', '--network', 'second')
    t.ok(await answers('later', 'second'), 'written again, it works again')
  })

  t.test('podman rm -f takes everything away', async (t) => {
    t.strictSame(await host.removeAll(), [])
  })
}
