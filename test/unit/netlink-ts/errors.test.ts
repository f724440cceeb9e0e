/** The error tree: names, codes, messages. */
import { constants } from 'node:os'
import {
  DecodeError,
  Errno,
  errnoName,
  NetlinkError,
  NetlinkTsError,
  NetnsError,
  SyscallError,
} from 'netlink-ts/errors.ts'
import t from 'tap'

t.test('errno values are those of this system', async (t) => {
  const known: Record<string, number> = constants.errno
  for (const [name, value] of Object.entries(Errno)) if (name in known) t.equal(value, known[name], name)
  t.equal(errnoName(17), 'EEXIST')
  t.equal(errnoName(12345), 'errno 12345')
})

t.test('messages say what was done and what the kernel said', async (t) => {
  const rows = [
    [new SyscallError('open', 2, '/x'), 'open: ENOENT: /x', 'ERR_SYSCALL'],
    [new SyscallError('setns', 1), 'setns: EPERM', 'ERR_SYSCALL'],
    [new NetlinkError('RTM_NEWLINK a', 17), 'RTM_NEWLINK a: EEXIST', 'ERR_NETLINK'],
    [new NetlinkError('x', 22, { kernelMessage: 'no' }), 'x: EINVAL: no', 'ERR_NETLINK'],
    [new DecodeError('IFLA', 8, 'short', 'mtu'), 'IFLA.mtu at byte 8: short', 'ERR_DECODE'],
    [new DecodeError('IFLA', 8, 'short'), 'IFLA at byte 8: short', 'ERR_DECODE'],
    [new NetnsError('/x', 'missing'), 'no network namespace at /x: it does not exist', 'ERR_NETNS'],
    [new NetnsError('/x', 'not-a-netns'), '/x is not a network namespace', 'ERR_NETNS'],
  ] as const
  for (const [err, message, code] of rows) {
    t.equal(err.message, message)
    t.equal(err.code, code)
    t.ok(err instanceof NetlinkTsError)
    t.equal(err.name, err.constructor.name)
  }
  const cause = new Error('why')
  t.equal(new NetlinkError('x', 1, { cause }).cause, cause)
  t.equal(new SyscallError('x', 1, undefined, { cause }).cause, cause)
  t.notOk('cause' in new NetlinkError('x', 1))
})
