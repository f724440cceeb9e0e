/**
 * Ends without notice: conmon killed, power lost. Static addresses come back, and stale leases keep no container from
 * starting.
 */
import type { Test } from 'tap'
import { cliExecutable } from '../../run/executable.ts'
import { waitFor } from '../../run/wait.ts'
import { get, type PodmanHost, podmanHost } from '../host.ts'
import type { Target } from '../run.ts'

/** As after a crash of conmon: neither it nor the container ends in a way that runs the cleanup. */
async function killWithoutCleanup(host: PodmanHost, container: string): Promise<void> {
  const { Id: id, State: state } = await host.inspect(container)
  const conmon = await host.m.exec('pgrep', '-f', `conmon .*-c ${id}`)
  await host.m.exec('kill', '-9', ...conmon.trim().split('\n'), String(state.Pid))
}

/** Podman 5 says once that conmon is gone, has then cleaned up, and removes the container when it is asked again. */
async function removeKilled(t: Test, host: PodmanHost, container: string): Promise<void> {
  const ran = await host.podman('rm', '-f', '-t', '0', container)
  if (host.runtime.dialect === 'cni') t.equal(ran.rc, 0, ran.stderr)
  if (ran.rc === 0) return
  t.match(ran.stderr, 'conmon exited prematurely')
  await host.pod('rm', '-f', '-t', '0', container)
}

export async function uncleanStop(t: Test, { runtime, executable }: Target): Promise<void> {
  const host = await podmanHost(t, executable, { runtime })
  await host.web('fixed', '--ip', '10.100.1.50', '-p', '8080:80')
  await killWithoutCleanup(host, 'fixed')

  t.test('made anew, the container has its address and port', async (t) => {
    await removeKilled(t, host, 'fixed')
    await host.web('fixed', '--ip', '10.100.1.50', '-p', '8080:80')
    t.equal((await get(host.m, 'http://10.100.1.50/')).status, 200)
    t.equal((await get(host.m, 'http://127.0.0.1:8080/')).status, 200)
    t.equal(host.leases().length, 1)
  })
  t.test(
    'its namespace unmounted by hand: Podman never sends DEL; another may have the address',
    async (t) => {
      const sandbox = (await host.inspect('fixed')).NetworkSettings.SandboxKey
      await killWithoutCleanup(host, 'fixed')
      await host.m.sh(`umount ${sandbox} && rm ${sandbox}`)
      await host.podman('rm', '-f', '-t', '0', 'fixed')
      const next = await host.tryWeb('next', '--ip', '10.100.1.50', '-p', '8080:80')
      t.equal(next.rc, 0, next.stderr)
      t.equal((await get(host.m, 'http://10.100.1.50/')).status, 200)
      t.equal((await get(host.m, 'http://127.0.0.1:8080/')).status, 200)
    },
  )
  t.test('podman rm -f takes everything away', async (t) => {
    t.strictSame(await host.removeAll(), [])
  })
}

export async function powerLoss(t: Test, { runtime, executable }: Target): Promise<void> {
  const host = await podmanHost(t, executable, { runtime })
  await host.web('fixed', '--ip', '10.100.1.50', '-p', '8080:80')
  for (const name of ['a', 'b', 'c']) await host.web(name)
  t.equal(host.leases().length, 4)
  await host.m.reboot()
  t.equal(host.leases().length, 4, 'every lease on disk is of the boot before')
  t.strictSame(
    await host.m.json('ip', '-j', 'link', 'show', 'type', 'bridge'),
    [],
    'and the kernel knows nothing',
  )

  t.test('a container with a fixed address starts', async (t) => {
    const started = await host.podman('start', 'fixed')
    t.equal(started.rc, 0, started.stderr)
    t.equal(await host.address('fixed'), '10.100.1.50')
    t.equal((await get(host.m, 'http://127.0.0.1:8080/')).status, 200)
  })
  t.test('and so do the others, each with an address of its own', async (t) => {
    await host.pod('start', 'a', 'b')
    const addresses = await Promise.all(['fixed', 'a', 'b'].map((name) => host.address(name)))
    t.equal(new Set(addresses).size, 3)
    for (const ip of addresses) t.equal((await get(host.m, `http://${ip}/`)).status, 200, ip)
  })
  t.test('an address that only a stale lease holds can be asked for', async (t) => {
    const stale = host.leases().find(({ name }) => name === 'c')?.ip ?? ''
    t.match(stale, /^10\.100\.1\./, 'c was not started, its lease is stale')
    const next = await host.tryWeb('next', '--ip', stale)
    t.equal(next.rc, 0, next.stderr)
    t.equal((await get(host.m, `http://${stale}/`)).status, 200)
  })
  t.test('the gateway shows what lives, not what the leases of the last boot say', async (t) => {
    await host.startGateway({ ingress: { listen: '127.0.0.1:8099' } })
    await waitFor('the gateway knows what runs', 3_000, async () => {
      const names = (await host.assignments()).map(({ name }) => name ?? '')
      return names.sort().join() === 'a,b,fixed,next'
    })
    t.pass('known')
  })
  t.test('flatnet gc gives back what is stale and nothing else', async (t) => {
    await host.m.reboot()
    await host.pod('start', 'a')
    const conf = ['--cni-conf-dir', host.networkDir]
    const ran = await host.m.run([cliExecutable().path, 'gc', ...conf])
    t.equal(ran.rc, 0, ran.stderr + ran.stdout)
    t.match(host.leases(), [{ name: 'a' }])
    t.equal(host.leases().length, 1)
    t.equal((await get(host.m, `http://${await host.address('a')}/`)).status, 200)
  })
  t.test('podman rm -f takes everything away', async (t) => {
    t.strictSame(await host.removeAll(), [])
  })
}

export async function fullOfStale(t: Test, { runtime, executable }: Target): Promise<void> {
  // Two addresses, .13 and .14 of 10.100.0.8/29.
  const tiny = { ipam: { supernet: '10.100.0.0/24', hostPrefix: 29, firstOffset: 5 } }
  const host = await podmanHost(t, executable, { runtime, networks: [tiny] })
  for (const name of ['a', 'b']) await host.web(name)
  const full = await host.podman('run', '--rm', '--network', 'flatnet', 'localhost/flatnet-test:1')
  t.not(full.rc, 0, 'no third')
  t.match(full.stderr, /no address|free/i)
  await host.m.reboot()
  const after = await host.podman('run', '-d', '--network', 'flatnet', 'localhost/flatnet-test:1')
  t.equal(after.rc, 0, after.stderr)
  t.strictSame(
    (await host.removeAll()).filter((line) => !line.startsWith('lease')),
    [],
  )
}
