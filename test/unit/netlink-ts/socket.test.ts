/** The socket over a fake kernel: parts, repetition, errors, batches, and answers that are not for us. */
import { Errno, NetlinkError, SyscallError } from 'netlink-ts/errors.ts'
import { NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTI, type Reply } from 'netlink-ts/message.ts'
import { NetlinkSocket } from 'netlink-ts/socket.ts'
import t from 'tap'
import { ack, datagram, done, fakeKernel, message, PID } from '../../helpers/kernel/netlink-fake.ts'
import { hex } from '../../helpers/kernel/netlink-hex.ts'

const request = (op: string, flags = 0) => ({ op, type: 16, flags, payload: hex('00000000') })
const dump = request('RTM_GETLINK', NLM_F_DUMP)
const part = (r: Reply, payload: string, flags = 0) =>
  message(r, { flags: NLM_F_MULTI | flags }, hex(payload))
const payloads = (replies: Reply[]) => replies.map((reply) => reply.payload.toHex())
const only = (requests: Reply[]): Reply => {
  const [first] = requests
  if (first === undefined || requests.length > 1) throw new Error(`${requests.length} requests`)
  return first
}

t.test('execute', async (t) => {
  t.test('asks for an acknowledgement, numbers its requests and returns the answers before it', async (t) => {
    const kernel = fakeKernel((requests) => {
      const r = only(requests)
      return [message(r, {}, hex('01020304')), ack(r)]
    })
    const socket = NetlinkSocket.over(kernel)
    t.same(payloads(socket.execute(request('one'))), ['01020304'])
    t.same(payloads(socket.execute(request('two', 0x600))), ['01020304'])
    t.strictSame(
      kernel.sent.flat().map(({ header }) => [header.flags, header.seq, header.pid]),
      [
        [0x5, 1, PID],
        [0x605, 2, PID],
      ],
    )
  })

  t.test('accepts answer and acknowledgement in one datagram, and NLMSG_NOOP between', async (t) => {
    const socket = NetlinkSocket.over(
      fakeKernel((requests) => {
        const r = only(requests)
        return [datagram(message(r, { type: 1 }), message(r, {}, hex('01020304')), ack(r))]
      }),
    )
    t.same(payloads(socket.execute(request('one'))), ['01020304'])
  })

  t.test('reads a dump of several datagrams to its end', async (t) => {
    const socket = NetlinkSocket.over(
      fakeKernel((requests) => {
        const r = only(requests)
        return [datagram(part(r, '01000000'), part(r, '02000000')), part(r, '03000000'), done(r)]
      }),
    )
    t.same(payloads(socket.execute(dump)), ['01000000', '02000000', '03000000'])
  })

  t.test('repeats a dump that was interrupted', async (t) => {
    let tries = 0
    const socket = NetlinkSocket.over(
      fakeKernel((requests) => {
        const r = only(requests)
        tries++
        return tries < 5 ? [part(r, 'ff000000', NLM_F_DUMP_INTR), done(r)] : [part(r, '01000000'), done(r)]
      }),
    )
    t.same(payloads(socket.execute(dump)), ['01000000'])
    t.equal(tries, 5)
  })

  t.test('gives a dump up after five interruptions', async (t) => {
    let tries = 0
    const socket = NetlinkSocket.over(
      fakeKernel((requests) => {
        tries++
        return [done(only(requests), 0, NLM_F_DUMP_INTR)]
      }),
    )
    t.throws(() => socket.execute(dump), { code: 'ERR_NETLINK', op: 'RTM_GETLINK', errno: Errno.EINTR })
    t.equal(tries, 5)
  })

  t.test('tells the refusal of a request, of a dump, and at the end of a dump', async (t) => {
    for (const refusal of [ack, done]) {
      const socket = NetlinkSocket.over(fakeKernel((requests) => [refusal(only(requests), Errno.EPERM)]))
      t.throws(() => socket.execute(dump), {
        name: /Error$/,
        op: 'RTM_GETLINK',
        errno: Errno.EPERM,
        errnoName: 'EPERM',
      })
    }
    const socket = NetlinkSocket.over(
      fakeKernel((requests) => [ack(only(requests), Errno.EINVAL, { message: 'mtu too big', offset: 36 })]),
    )
    t.throws(() => socket.execute(request('RTM_NEWLINK br0')), {
      message: 'RTM_NEWLINK br0: EINVAL: mtu too big',
      kernelMessage: 'mtu too big',
      offset: 36,
    })
  })

  t.test('refuses an answer to a request that was not made', async (t) => {
    const socket = NetlinkSocket.over(
      fakeKernel((requests) => [ack(only(requests), 0, undefined, { seq: 2 })]),
    )
    t.throws(() => socket.execute(request('x')), { code: 'ERR_DECODE', attribute: 'seq' })
    const zero = NetlinkSocket.over(fakeKernel((requests) => [ack(only(requests), 0, undefined, { seq: 0 })]))
    t.throws(() => zero.execute(request('x')), { code: 'ERR_DECODE', attribute: 'seq' })
  })

  t.test('refuses an answer for another port', async (t) => {
    const socket = NetlinkSocket.over(
      fakeKernel((requests) => [ack(only(requests), 0, undefined, { pid: 1 })]),
    )
    t.throws(() => socket.execute(request('x')), { code: 'ERR_DECODE', attribute: 'pid' })
  })

  t.test('passes the time limit on, and skips the late answer at the next request', async (t) => {
    let first: Reply | undefined
    const socket = NetlinkSocket.over(
      fakeKernel((requests) => {
        const r = only(requests)
        if (first !== undefined) return [ack(first, Errno.EBUSY), ack(r)]
        first = r
        return []
      }),
    )
    t.throws(() => socket.execute(request('slow')), {
      code: 'ERR_SYSCALL',
      syscall: 'recv',
      errno: Errno.EAGAIN,
    })
    t.same(socket.execute(request('next')), [])
  })
})

t.test('executeAll', async (t) => {
  t.test('sends all at once, and one refusal does not hide the others', async (t) => {
    const kernel = fakeKernel((requests) =>
      requests.flatMap((r, i) =>
        i === 1 ? [ack(r, Errno.EEXIST)] : [message(r, {}, hex('0a000000')), ack(r)],
      ),
    )
    const outcomes = NetlinkSocket.over(kernel).executeAll([request('a'), request('b'), request('c')])
    t.equal(kernel.sent.length, 1)
    t.equal(outcomes.length, 3)
    t.match(outcomes[1], { name: /Error$/, op: 'b', errno: Errno.EEXIST })
    t.ok(outcomes[1] instanceof NetlinkError)
    t.same(
      [outcomes[0], outcomes[2]].map((o) => payloads(o as Reply[])),
      [['0a000000'], ['0a000000']],
    )
  })

  t.test('of nothing sends nothing; of many, in parts that the receive buffer holds', async (t) => {
    const kernel = fakeKernel((requests) => requests.map((r) => ack(r)))
    const socket = NetlinkSocket.over(kernel)
    t.same(socket.executeAll([]), [])
    t.equal(socket.executeAll(Array.from({ length: 100 }, (_, i) => request(`${i}`))).length, 100)
    t.same(
      kernel.sent.map((requests) => requests.length),
      [32, 32, 32, 4],
    )
  })

  t.test('takes no dump', async (t) => {
    t.throws(() => NetlinkSocket.over(fakeKernel(() => [])).executeAll([request('a'), dump]), TypeError)
  })
})

t.test('executeBatch', async (t) => {
  const begin = request('BEGIN')
  const end = request('END')
  const three = [request('a'), request('b'), request('c')]

  t.test('asks only the last request for an acknowledgement', async (t) => {
    const kernel = fakeKernel((requests) => [message(requests[1]!, {}, hex('01000000')), ack(requests[3]!)])
    t.same(payloads(NetlinkSocket.over(kernel).executeBatch(begin, three, end)), ['01000000'])
    t.strictSame(
      kernel.sent[0]?.map(({ header }) => (header.flags & NLM_F_ACK) !== 0),
      [false, false, false, true, false],
    )
  })

  t.test('raises the first refusal with the op of its request', async (t) => {
    const kernel = fakeKernel((requests) => [
      ack(requests[2]!, Errno.ENOENT),
      ack(requests[3]!, Errno.EEXIST),
    ])
    t.throws(() => NetlinkSocket.over(kernel).executeBatch(begin, three, end), {
      name: /Error$/,
      op: 'b',
      errno: Errno.ENOENT,
    })
  })

  t.test('raises the refusal of one although the last is acknowledged', async (t) => {
    const kernel = fakeKernel((requests) => [ack(requests[1]!, Errno.EBUSY), ack(requests[3]!)])
    t.throws(() => NetlinkSocket.over(kernel).executeBatch(begin, three, end), {
      name: /Error$/,
      op: 'a',
      errno: Errno.EBUSY,
    })
  })

  t.test('ends at a refusal of the whole, and skips what comes behind it', async (t) => {
    let batches = 0
    const kernel = fakeKernel((requests) =>
      ++batches === 1 ? [ack(requests[0]!, Errno.EPERM), ack(requests[3]!)] : [ack(requests[3]!)],
    )
    const socket = NetlinkSocket.over(kernel)
    t.throws(() => socket.executeBatch(begin, three, end), {
      name: /Error$/,
      op: 'BEGIN',
      errno: Errno.EPERM,
    })
    t.same(socket.executeBatch(begin, three, end), [])
  })

  t.test('takes an acknowledgement of BEGIN for what it is', async (t) => {
    const kernel = fakeKernel((requests) => [ack(requests[0]!), ack(requests[3]!)])
    t.same(NetlinkSocket.over(kernel).executeBatch(begin, three, end), [])
  })

  t.test('tells the cause also when so many fail that refusals are lost', async (t) => {
    const lost = new SyscallError('recv', Errno.ENOBUFS)
    const kernel = fakeKernel((requests) => [lost, ack(requests[1]!, Errno.EEXIST)])
    t.throws(() => NetlinkSocket.over(kernel).executeBatch(begin, three, end), {
      name: /Error$/,
      op: 'a',
      errno: Errno.EEXIST,
    })
    t.throws(() => NetlinkSocket.over(fakeKernel(() => [lost])).executeBatch(begin, three, end), lost)
  })

  t.test('passes other failures on', async (t) => {
    t.throws(() => NetlinkSocket.over(fakeKernel(() => [])).executeBatch(begin, three, end), {
      name: /Error$/,
      errno: Errno.EAGAIN,
    })
  })

  t.test('of nothing sends nothing', async (t) => {
    const kernel = fakeKernel(() => [])
    t.same(NetlinkSocket.over(kernel).executeBatch(begin, [], end), [])
    t.equal(kernel.sent.length, 0)
  })
})

t.test('a socket closes its transport, and needs the kernel for groups', async (t) => {
  const kernel = fakeKernel(() => [])
  {
    using socket = NetlinkSocket.over(kernel)
    t.throws(() => socket.join(1), TypeError)
    t.throws(() => socket.fd, TypeError)
    t.same(socket.notifications(), [])
  }
  t.equal(kernel.closed, true)
})
