/**
 * Published ports, tcp and udp: from the host, the LAN, another container and the container itself, and gone with it.
 */
import type { Test } from 'tap'
import { askUdp, get, podmanHost, unanswered } from '../host.ts'
import type { Target } from '../run.ts'

export async function ports(t: Test, { runtime, executable }: Target): Promise<void> {
  const host = await podmanHost(t, executable, { runtime })
  const lan = await host.m.neighbour()
  // A second LAN: an address of the host that a mapping with a host address does not name.
  const lan2 = await host.m.neighbour('lan2', 1)
  await host.web('client')
  const client = await host.inNetns('client')
  const ports = [
    '-p',
    '8080:80',
    '-p',
    '8053:53/udp',
    '-p',
    '127.0.0.1:8081:80',
    '-p',
    `${lan.machineIp}:8082:80`,
  ]
  await host.web('server', ...ports, '-p', '8090-8092:80-82')
  const server = await host.inNetns('server')
  await host.serveIn('server', 'udp-echo', '53', 'server')
  await host.serveIn('server', 'serve', '82')
  const status = async (from: Parameters<typeof get>[0], url: string) => (await get(from, url)).status

  t.test('tcp on any address', async (t) => {
    t.equal(await status(host.m, 'http://127.0.0.1:8080/'), 200, "the host's loopback")
    t.equal(await status(host.m, `http://${lan.machineIp}:8080/`), 200, "the host's own LAN address")
    t.equal(await status(lan, `http://${lan.machineIp}:8080/`), 200, 'the LAN')
    t.equal(await status(lan2, `http://${lan2.machineIp}:8080/`), 200, 'another LAN')
    t.equal(
      await status(client, `http://${lan.machineIp}:8080/`),
      200,
      'another container, by the LAN address',
    )
    t.equal(await status(client, 'http://10.100.1.1:8080/'), 200, 'another container, by the bridge address')
    t.equal(await status(server, `http://${lan.machineIp}:8080/`), 200, 'the container itself (hairpin)')
  })

  t.test('udp on any address', async (t) => {
    t.match(await askUdp(host.m, '127.0.0.1', 8053), /^server /, "the host's loopback")
    t.equal(await askUdp(lan, lan.machineIp, 8053), `server ${lan.ip}`, 'the LAN, seen with its own address')
    t.match(await askUdp(client, lan.machineIp, 8053), /^server /, 'another container')
    t.match(await askUdp(server, lan.machineIp, 8053), /^server /, 'the container itself (hairpin)')
  })

  t.test('on the loopback only', async (t) => {
    t.equal(await status(host.m, 'http://127.0.0.1:8081/'), 200)
    t.ok(await unanswered(lan, `http://${lan.machineIp}:8081/`), 'the LAN stays out')
    t.ok(await unanswered(client, 'http://10.100.1.1:8081/'), 'containers too')
  })

  t.test('on one address only', async (t) => {
    t.equal(await status(lan, `http://${lan.machineIp}:8082/`), 200)
    t.ok(await unanswered(lan2, `http://${lan2.machineIp}:8082/`), 'not on the other')
    t.ok(await unanswered(host.m, 'http://127.0.0.1:8082/'), 'nor on the loopback')
  })

  t.test('a range, each port to its own', async (t) => {
    t.equal((await get(lan, `http://${lan.machineIp}:8090/`)).body, 'flatnet test page\n')
    t.match((await get(lan, `http://${lan.machineIp}:8092/x`)).body, '"url":"/x"')
  })

  t.test('a port of a live container cannot be had twice', async (t) => {
    const ran = await host.podman(
      'run',
      '-d',
      '--network',
      'flatnet',
      '-p',
      '8080:80',
      'localhost/flatnet-test:1',
    )
    t.not(ran.rc, 0)
    t.match(ran.stderr, '8080')
    t.equal(await status(lan, `http://${lan.machineIp}:8080/`), 200, 'the first one keeps it')
  })

  t.test('the next owner of a port gets the traffic, of running conversations too', async (t) => {
    t.match(await askUdp(lan, lan.machineIp, 8053, 5353), /^server /)
    await host.pod('rm', '-f', '-t', '0', 'server')
    t.equal(await askUdp(lan, lan.machineIp, 8053, 5353), '', 'nobody there')
    t.ok(await unanswered(lan, `http://${lan.machineIp}:8080/`))
    await host.web('heir', '-p', '8053:53/udp', '-p', '8080:80')
    await host.serveIn('heir', 'udp-echo', '53', 'heir')
    t.match(await askUdp(lan, lan.machineIp, 8053, 5353), /^heir /, 'from the same source port (conntrack)')
    t.equal(await status(lan, `http://${lan.machineIp}:8080/`), 200)
  })

  t.test('podman rm -f takes everything away', async (t) => {
    t.strictSame(await host.removeAll(), [])
  })
}
