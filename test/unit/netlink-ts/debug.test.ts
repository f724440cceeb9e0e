/** netlink-ts/debug.ts: what NETLINK_DEBUG prints for each message, and that it prints nothing when it is off. */
import { spawnSync } from 'node:child_process'
import { debuggerOf } from 'netlink-ts/debug.ts'
import { Errno } from 'netlink-ts/errors.ts'
import { NLMSG_DONE, NLMSG_ERROR, type Reply } from 'netlink-ts/message.ts'
import t from 'tap'
import { hex } from '../../helpers/kernel/netlink-hex.ts'
import { inRepo } from '../../helpers/run/sources.ts'

const PORT = 4711
const reply = (type: number, payload: string, flags = 0): Reply => ({
  header: { length: 0, type, flags, seq: 7, pid: PORT },
  payload: hex(payload),
})
const errno = (value: number): string => Buffer.from(Int32Array.of(-value).buffer).toString('hex')

function printed(
  level: string | undefined,
  run: (d: NonNullable<ReturnType<typeof debuggerOf>>) => void,
): string[] {
  const lines: string[] = []
  const debug = debuggerOf(level, (line) => lines.push(line))
  if (debug !== undefined) run(debug)
  return lines
}

t.test('any value but 1 and 2 is off', async (t) => {
  for (const level of [undefined, '', '0', 'yes', '3'])
    t.equal(
      debuggerOf(level, () => {}),
      undefined,
      String(level),
    )
})

t.test('a request is named by its operation, numbered, and shown with the flags that are sent', async (t) => {
  const requests = [
    { op: 'RTM_NEWLINK flatnet0', type: 16, flags: 0x600, payload: hex('0102') },
    { op: 'RTM_NEWADDR 10.100.1.1', type: 20, flags: 0x4, payload: hex('') },
  ]
  t.strictSame(
    printed('1', (d) => d.sent(PORT, requests, 3, 0x1)),
    [
      'netlink 4711 -> #3 RTM_NEWLINK flatnet0 (type 16, flags 0x601, 2 bytes)',
      'netlink 4711 -> #4 RTM_NEWADDR 10.100.1.1 (type 20, flags 0x5, 0 bytes)',
    ],
  )
  t.match(printed('2', (d) => d.sent(PORT, requests, 3, 0x1))[0], /2 bytes\) 0102$/)
})

const answers: readonly [what: string, reply: Reply, line: string][] = [
  ['an acknowledgement', reply(NLMSG_ERROR, errno(0)), 'ok'],
  ['a refusal has its errno', reply(NLMSG_ERROR, errno(Errno.EEXIST)), 'EEXIST'],
  [
    "a refusal has the kernel's words",
    reply(
      NLMSG_ERROR,
      `${errno(Errno.EINVAL)} 10000000 1000 0000 07000000 00000000 0800 0100 6e6f7000`,
      0x300,
    ),
    'EINVAL: nop',
  ],
  ['the end of a dump', reply(NLMSG_DONE, errno(0)), 'end of dump'],
  ['an answer', reply(16, '00000000', 0x2), 'type 16, flags 0x2, 4 bytes'],
]
for (const [what, given, line] of answers)
  t.test(what, async (t) => {
    t.strictSame(
      printed('1', (d) => d.received(PORT, given)),
      [`netlink 4711 <- #7 ${line}`],
    )
  })

t.test('a long payload is cut', async (t) => {
  const [line = ''] = printed('2', (d) => d.received(PORT, reply(16, '00'.repeat(300))))
  t.match(line, / (?:00){256} and 44 bytes more$/)
})

/** The stderr of a process that sends one request to a fake kernel. */
function stderrOf(env: Record<string, string>): string {
  const script = `
    import { NetlinkSocket } from 'netlink-ts/socket.ts'
    import { ack, fakeKernel } from './test/helpers/kernel/netlink-fake.ts'
    const socket = NetlinkSocket.over(fakeKernel(([r]) => [ack(r)]))
    socket.execute({ op: 'RTM_GETLINK lo', type: 18, flags: 0, payload: new Uint8Array(16) })`
  const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', script]
  const { status, stderr } = spawnSync(process.execPath, flags, {
    cwd: inRepo('.'),
    env,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(stderr)
  return stderr
}

t.test('a process prints on stderr when its environment says so, and nothing otherwise', async (t) => {
  t.match(
    stderrOf({ NETLINK_DEBUG: '1' }),
    /^netlink \d+ -> #1 RTM_GETLINK lo \(type 18, flags 0x5, 16 bytes\)\nnetlink \d+ <- #1 ok\n$/,
  )
  t.equal(stderrOf({}), '')
})
