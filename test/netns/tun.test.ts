/** The TUN device in real namespaces: what it is made as, packets through it, who may have it, and how it ends. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { inNetns } from 'netlink-ts/netns.ts'
import t from 'tap'
import { openTun, type Tun, type TunOptions } from '../../kernel/tun.ts'
import { deleteTun } from '../../kernel/tun-link.ts'
import { type Netns, needsRoot, netns } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const NAME = 'flatnet-gw'
const skip = { skip: needsRoot }

const openIn = (ns: Netns, options: Partial<TunOptions> = {}): Tun =>
  inNetns<Tun>(ns.path, () => openTun({ ifname: NAME, mtu: 1400, ...options }))

const linkOf = (ns: Netns) => ns.json('ip', '-j', '-d', 'link', 'show', 'dev', NAME)[0]

/** Room for one packet, and a list of those that came. */
function listen(tun: Tun, answer: (packet: Uint8Array) => void) {
  const room = new Uint8Array(70_000)
  const failures: Error[] = []
  tun.start({
    buffer: () => room,
    packet: (length) => {
      answer(room.subarray(0, length))
      for (let n = tun.read(room); n > 0; n = tun.read(room)) answer(room.subarray(0, n))
    },
    failed: (error) => failures.push(error),
  })
  return failures
}

t.test('it is made up, persistent, with virtio headers, without IPv6', skip, async (t) => {
  const ns = await netns(t)
  const tun = openIn(ns, { txQueueLen: 321 })
  t.teardown(() => tun.close())
  const link = linkOf(ns)
  t.match(link, { ifindex: tun.ifindex, mtu: 1400, txqlen: 321 })
  t.ok(link.flags.includes('UP'))
  t.match(link.linkinfo, {
    info_kind: 'tun',
    info_data: { type: 'tun', vnet_hdr: true, pi: false, persist: true },
  })
  t.equal(ns.exec('cat', `/proc/sys/net/ipv4/conf/${NAME}/rp_filter`).trim(), '2')
  t.equal(ns.exec('cat', `/proc/sys/net/ipv6/conf/${NAME}/disable_ipv6`).trim(), '1')
  t.match(tun.offloads, /^tcp/)
})

t.test('packets come and go: an echo is answered through it', skip, async (t) => {
  const ns = await netns(t)
  ns.exec('ip', 'addr', 'add', '10.100.1.1/32', 'dev', 'lo')
  const tun = openIn(ns)
  t.teardown(() => tun.close())
  ns.exec('ip', 'route', 'add', '10.100.2.0/24', 'dev', NAME, 'src', '10.100.1.1')
  ns.exec('ip', 'link', 'set', 'lo', 'up')
  listen(tun, (packet) => {
    const [src, dst] = [packet.slice(22, 26), packet.slice(26, 30)]
    packet.set(dst, 22)
    packet.set(src, 26)
    // Echo request to echo reply; the checksum falls by as much as the type.
    packet[30] = 0
    const view = new DataView(packet.buffer, packet.byteOffset)
    const sum = view.getUint16(32) + 0x0800
    view.setUint16(32, (sum & 0xffff) + (sum >>> 16))
    t.equal(tun.write(packet), packet.byteLength)
  })
  const ping = spawn('ip', ['netns', 'exec', ns.name, 'busybox', 'ping', '-c', '3', '-W', '5', '10.100.2.9'])
  let out = ''
  ping.stdout.on('data', (chunk) => {
    out += chunk
  })
  await once(ping, 'close')
  t.match(out, '3 packets received')
  t.equal(tun.write(new Uint8Array(3)), -22, 'EINVAL as a number')
})

t.test('it stays with its routes when it is let go, and is taken over', skip, async (t) => {
  const ns = await netns(t)
  const first = openIn(ns)
  ns.exec('ip', 'route', 'add', '10.100.2.0/24', 'dev', NAME, 'metric', '200')
  listen(first, () => {})
  first.close()
  first.close()
  t.equal(first.read(new Uint8Array(10)), -9, 'EBADF: the number of the descriptor is not used again')
  await waitFor('the first has let go', 5_000, () => linkOf(ns).operstate === 'DOWN')
  const second = openIn(ns, { mtu: 1300 })
  t.equal(second.ifindex, first.ifindex)
  t.equal(linkOf(ns).mtu, 1300)
  t.equal(ns.json('ip', '-j', 'route', 'show', 'dev', NAME).length, 1)
  second.close()
})

t.test('a second gateway is refused', skip, async (t) => {
  const ns = await netns(t)
  const tun = openIn(ns)
  t.teardown(() => tun.close())
  t.throws(() => openIn(ns), {
    code: 'ERR_FLATNET_NOT_READY',
    facts: { reason: 'busy' },
    message: /another gateway/,
  })
})

t.test('a device of another kind is made anew; a link that is none is left alone', skip, async (t) => {
  const ns = await netns(t)
  ns.exec('ip', 'tuntap', 'add', 'dev', NAME, 'mode', 'tun', 'pi')
  const tun = openIn(ns)
  t.equal(linkOf(ns).linkinfo.info_data.vnet_hdr, true)
  tun.close()
  t.ok(inNetns<boolean>(ns.path, () => deleteTun(NAME)))
  t.notOk(inNetns<boolean>(ns.path, () => deleteTun(NAME)))
  ns.exec('ip', 'link', 'add', NAME, 'type', 'bridge')
  t.throws(() => openIn(ns), {
    facts: { reason: 'busy' },
    message: /another kind of interface: rename or delete it/,
  })
  t.notOk(inNetns<boolean>(ns.path, () => deleteTun(NAME)))
  t.equal(linkOf(ns).linkinfo.info_kind, 'bridge')
})

t.test('fewer offloads when asked for, and UDP segmentation off and on', skip, async (t) => {
  for (const offloads of ['tcp+ecn+udp', 'tcp+ecn', 'tcp', 'checksum', 'none'] as const) {
    const ns = await netns(t)
    const tun = openIn(ns, { offloads })
    if (offloads !== 'tcp+ecn+udp') t.equal(tun.offloads, offloads)
    t.equal(tun.takesUso, tun.offloads === 'tcp+ecn+udp')
    t.doesNotThrow(() => tun.requestUso(false))
    t.doesNotThrow(() => tun.requestUso(true))
    tun.close()
  }
})

t.test('deleted by hand: told once, and the descriptor is used no more', skip, async (t) => {
  const ns = await netns(t)
  const tun = openIn(ns)
  const failures = listen(tun, () => {})
  // The event loop has to have it under watch.
  await new Promise((resolve) => setImmediate(resolve))
  ns.exec('ip', 'link', 'del', NAME)
  await waitFor('the loss is told', 5_000, () => failures.length > 0)
  t.match(failures, [{ code: 'ERR_FLATNET_KERNEL', message: `${NAME} is gone` }])
  t.equal(tun.write(new Uint8Array(40)), -9)
  tun.close()
  t.equal(failures.length, 1)
})

t.test('without a TUN device or the right to one: says so, for the way around it', skip, async (t) => {
  const program = `
    import { openTun } from ${JSON.stringify(new URL('../../kernel/tun.ts', import.meta.url).href)}
    try { openTun({ ifname: 'flatnet-gw', mtu: 1400 }) } catch (e) { console.log(JSON.stringify({ code: e.code, reason: e.facts?.reason, message: e.message })) }`
  const node = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    '--input-type=module',
    '-e',
    program,
  ]
  const told = (command: string, ...args: string[]) => {
    const { stdout, stderr } = spawnSync(command, [...args, ...node], {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    return stdout === '' ? stderr : JSON.parse(stdout)
  }
  const unshare = (mount: string) => ['-mn', 'sh', '-c', `${mount} && exec "$0" "$@"`]
  t.match(told('unshare', ...unshare('mount -t tmpfs none /dev/net')), {
    code: 'ERR_FLATNET_NOT_READY',
    reason: 'absent',
    message: /--device/,
  })
  t.match(told('unshare', ...unshare('mount --bind /dev/null /dev/net/tun')), {
    code: 'ERR_FLATNET_NOT_READY',
    reason: 'absent',
  })
  t.match(told('unshare', '-n', 'setpriv', '--bounding-set=-net_admin'), {
    code: 'ERR_FLATNET_NOT_READY',
    reason: 'refused',
  })
})
