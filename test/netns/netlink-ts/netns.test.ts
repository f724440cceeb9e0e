/** Namespaces and libc against the kernel. */
import { spawnSync } from 'node:child_process'
import { readlinkSync, statSync, writeFileSync } from 'node:fs'
import { Errno } from 'netlink-ts/errors.ts'
import {
  bind,
  close,
  flock,
  getpid,
  getsockname,
  LOCK_EX,
  LOCK_NB,
  LOCK_UN,
  O_CLOEXEC,
  O_CREAT,
  O_RDONLY,
  O_RDWR,
  open,
  POLLIN,
  poll,
  read,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  sendto,
  setsockoptInt,
  socket,
  tryRead,
  write,
} from 'netlink-ts/libc.ts'
import {
  inNetns,
  isNetns,
  netnsIdentity,
  OWN_NETNS,
  openNetns,
  ownNetns,
  sameNetns,
} from 'netlink-ts/netns.ts'
import { linkByName, linkDelRequest } from 'netlink-ts/route/link.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { KernelTransport } from 'netlink-ts/transport.ts'
import t from 'tap'
import { live } from '../../helpers/kernel/netlink-live.ts'
import { needsRoot, netns } from '../../helpers/kernel/netns.ts'

const here = () => readlinkSync('/proc/thread-self/ns/net')

t.test('inNetns goes there and back, by path and by descriptor', { skip: needsRoot }, async (t) => {
  const ns = await netns(t)
  const before = here()
  const there = `net:[${statSync(ns.path).ino}]`
  t.equal(inNetns<string>(ns.path, here), there)
  t.equal(here(), before)
  const fd = openNetns(ns.path)
  t.equal(inNetns<string>(fd, here), there)
  t.equal(inNetns<string>(fd, here), there, 'the descriptor stays open')
  close(fd)
  t.throws(
    () =>
      inNetns(ns.path, () => {
        throw new Error('inside')
      }),
    /inside/,
  )
  t.equal(here(), before, 'also after an error')
  // @ts-expect-error an asynchronous callback does not compile
  const refused = () => inNetns(ns.path, async () => 1)
  t.type(refused, 'function')
})

t.test(
  'a process that cannot leave a namespace ends at once, with a message',
  { skip: needsRoot },
  async (t) => {
    const ns = await netns(t)
    const script = `
    import { readdirSync, readlinkSync, closeSync } from 'node:fs'
    import { inNetns } from '${new URL('../../../netlink-ts/netns.ts', import.meta.url).href}'
    process.on('exit', () => console.log('exit handler'))
    try {
      inNetns('${ns.path}', () => {
        for (const fd of readdirSync('/proc/self/fd'))
          try { if (readlinkSync('/proc/self/fd/' + fd).startsWith('net:')) closeSync(Number(fd)) } catch {}
      })
    } catch (err) { console.log('caught', err) }
    console.log('still running')`
    const done = spawnSync(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
      { encoding: 'utf8' },
    )
    t.equal(done.status, 1)
    t.equal(done.stdout, '')
    t.match(done.stderr, /cannot leave a network namespace, so this process ends: setns: EBADF/)
  },
)

t.test('what is a namespace and what is not', { skip: needsRoot }, async (t) => {
  const ns = await netns(t)
  const plain = `${t.testdir({ file: '' })}/file`
  t.equal(isNetns(ns.path), true, 'a bind mount')
  t.equal(isNetns(`/proc/${process.pid}/ns/net`), true, 'of a process')
  for (const path of [
    '/no/such/path',
    plain,
    '/',
    '/dev/null',
    '/proc/self/ns/mnt',
    '/proc/self/ns',
    '/proc/999999999/ns/net',
  ])
    t.equal(isNetns(path), false, path)
  t.throws(() => openNetns('/no/such/path'), {
    code: 'ERR_NETNS',
    reason: 'missing',
    message: /\/no\/such\/path.*does not exist/,
  })
  for (const path of [plain, '/proc/self/ns/mnt'])
    t.throws(() => openNetns(path), { code: 'ERR_NETNS', reason: 'not-a-netns' })
  t.throws(() => openNetns(`${plain}/x`), { code: 'ERR_SYSCALL', errno: Errno.ENOTDIR })
  t.throws(() => inNetns('/no/such/path', () => 1), { code: 'ERR_NETNS' })
  ns.remove()
  t.equal(isNetns(ns.path), false, 'after `ip netns del`')
})

t.test('identities', { skip: needsRoot }, async (t) => {
  const [a, b] = [await netns(t), await netns(t)]
  t.same(ownNetns(), netnsIdentity(OWN_NETNS))
  t.equal(netnsIdentity(a.path).ino, statSync(a.path).ino)
  t.equal(sameNetns(a.path, netnsIdentity(a.path)), true)
  t.equal(sameNetns(a.path, b.path), false)
  t.equal(sameNetns(OWN_NETNS, ownNetns()), true)
  t.equal(sameNetns(inNetns<ReturnType<typeof ownNetns>>(a.path, ownNetns), a.path), true)
})

t.test('a socket works in the namespace it was opened for, from anywhere', { skip: needsRoot }, async (t) => {
  const ns = await live(t)
  ns.exec('ip', 'link', 'add', 'only-here', 'type', 'bridge')
  t.equal(linkByName(ns.route, 'only-here')?.name, 'only-here')
  using home = NetlinkSocket.open(NETLINK_ROUTE)
  t.equal(linkByName(home, 'only-here'), undefined)
  t.throws(() => NetlinkSocket.open(NETLINK_ROUTE, { netns: 999_999 }), {
    code: 'ERR_SYSCALL',
    syscall: 'setns',
    errno: Errno.EBADF,
  })
  t.throws(() => NetlinkSocket.open(200), {
    code: 'ERR_SYSCALL',
    syscall: 'socket',
    errno: Errno.EPROTONOSUPPORT,
  })
  ns.route.close()
  ns.route.close()
  t.throws(() => linkByName(ns.route, 'lo'), { code: 'ERR_SYSCALL' }, 'not after it was closed')
})

t.test('groups tell what changes', { skip: needsRoot }, async (t) => {
  const ns = await live(t)
  using monitor = NetlinkSocket.open(NETLINK_ROUTE, { netns: ns.fd })
  monitor.join(1)
  t.same(monitor.notifications(), [])
  t.equal(poll(monitor.fd, POLLIN, 0), 0)
  ns.exec('ip', 'link', 'add', 'd0', 'type', 'bridge')
  t.equal(poll(monitor.fd, POLLIN, 1000), POLLIN)
  t.ok(monitor.notifications().some((n) => n.header.type === 16))
  ns.route.execute(linkDelRequest({ name: 'd0' }))
  t.ok(monitor.notifications().some((n) => n.header.type === 17))
})

t.test('no answer within the limit is an error that says so', async (t) => {
  const transport = new KernelTransport(NETLINK_ROUTE, { timeoutMs: 20 })
  t.teardown(() => transport.close())
  t.equal(transport.receiveNow(), undefined)
  t.throws(() => transport.receive(), {
    code: 'ERR_SYSCALL',
    syscall: 'recv',
    errno: Errno.EAGAIN,
    message: /no answer from the kernel within 20 ms/,
  })
})

t.test('libc calls throw with errno, and lengths are checked before the kernel sees them', async (t) => {
  t.equal(getpid(), process.pid)
  t.throws(() => open('/no/such/file', O_RDONLY), {
    code: 'ERR_SYSCALL',
    syscall: 'open',
    errno: Errno.ENOENT,
    message: 'open: ENOENT: /no/such/file',
  })
  t.throws(() => open('/dev/null\0/etc/passwd', O_RDONLY), { code: 'ERR_SYSCALL', errno: Errno.EINVAL })
  t.throws(() => close(999_999), { code: 'ERR_SYSCALL', errno: Errno.EBADF })
  t.throws(() => write(1, new Uint8Array(2), 3), RangeError)
  t.throws(() => write(1, new Uint8Array(2), -1), RangeError)
  t.throws(() => setsockoptInt(999_999, 1, 8, 1), {
    code: 'ERR_SYSCALL',
    syscall: 'setsockopt',
    message: /1\/8/,
  })
})

t.test('files and locks', async (t) => {
  const path = `${t.testdir()}/file`
  const a = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
  t.equal(statSync(path).mode & 0o777, 0o600)
  t.equal(write(a, new TextEncoder().encode('hello'), 4), 4)
  writeFileSync(path, 'hello world')
  const b = open(path, O_RDONLY | O_CLOEXEC)
  const buf = new Uint8Array(5)
  t.equal(read(b, buf), 5)
  t.equal(new TextDecoder().decode(buf), 'hello')
  t.equal(flock(a, LOCK_EX | LOCK_NB), true)
  t.equal(flock(b, LOCK_EX | LOCK_NB), false, 'another process holds it')
  t.equal(flock(a, LOCK_UN), true)
  t.equal(flock(b, LOCK_EX | LOCK_NB), true)
  t.throws(() => flock(999_999, LOCK_EX), { code: 'ERR_SYSCALL', errno: Errno.EBADF })
  close(a)
  close(b)
})

t.test('an empty descriptor: read throws EAGAIN, tryRead says -1', async (t) => {
  const AF_UNIX = 1
  const fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
  // The family alone: the kernel chooses an abstract address.
  bind(fd, new Uint8Array(Uint16Array.of(AF_UNIX).buffer))
  const buf = new Uint8Array(8)
  t.throws(() => read(fd, buf), { code: 'ERR_SYSCALL', errno: Errno.EAGAIN })
  t.equal(tryRead(fd, buf), -1)
  t.equal(poll(fd, POLLIN, 0), 0)
  t.equal(sendto(fd, Uint8Array.of(7, 8), 1, 0, getsockname(fd)), 1)
  t.equal(poll(fd, POLLIN, 1000), POLLIN)
  t.equal(tryRead(fd, buf), 1)
  t.equal(buf[0], 7)
  close(fd)
})
