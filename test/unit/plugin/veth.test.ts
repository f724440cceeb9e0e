/**
 * The name of an address as the kernel's word on it: what ADD does when it is taken, and where there are no such names.
 */
import { Errno } from 'netlink-ts/errors.ts'
import { NetlinkSocket } from 'netlink-ts/socket.ts'
import t from 'tap'
import { parseIpv4 } from '../../../core/addr.ts'
import { silentLog } from '../../../core/log.ts'
import type { Plan } from '../../../plugin/plan.ts'
import { Undo } from '../../../plugin/undo.ts'
import { AddressHeld, createVeth } from '../../../plugin/veth.ts'
import { ack, fakeKernel } from '../../helpers/kernel/netlink-fake.ts'

const RTM_NEWLINKPROP = 108
const RTM_GETLINK = 18

const plan: Plan = {
  dataDir: '/nowhere',
  bridge: 'flatnet0',
  bridgeIp: parseIpv4('10.100.1.1') ?? 0,
  bridgeMac: '0a:64:0a:64:01:01',
  prefixLen: 24,
  mtu: 1500,
  hostIfname: 'fn0123456789',
  hostMac: 'fe:64:0a:64:01:0d',
  alias: 'flatnet flatnet c1 eth0 10.100.1.13/24',
  ifname: 'eth0',
  mac: '0a:64:0a:64:01:0d',
  ip: parseIpv4('10.100.1.13') ?? 0,
  hairpin: false,
  antiSpoof: false,
  routes: [],
}

/** @param errno of the name; nobody has a link of that name to show */
function made(errno: number): { undo: Undo; sent: number[][]; run(): void } {
  const kernel = fakeKernel((requests) =>
    requests.flatMap((request, i) => {
      const { type } = request.header
      if (type === RTM_NEWLINKPROP && errno !== 0) return [ack(request, errno)]
      if (type === RTM_GETLINK) return [ack(request, Errno.ENODEV)]
      return i === requests.length - 1 ? [ack(request)] : []
    }),
  )
  const undo = new Undo()
  const bridge = { index: 2 } as Parameters<typeof createVeth>[2]
  return {
    undo,
    get sent() {
      return kernel.sent.map((requests) => requests.map(({ header }) => header.type))
    },
    run: () => createVeth(NetlinkSocket.over(kernel), 4, bridge, plan, undo),
  }
}

t.test('one send names the pair by its address', async (t) => {
  const attempt = made(0)
  attempt.run()
  t.same(attempt.sent, [[16, RTM_NEWLINKPROP, 19]])
})

t.test('a name that is taken is an address that is held', async (t) => {
  const attempt = made(Errno.EEXIST)
  let thrown: unknown
  try {
    attempt.run()
  } catch (err) {
    thrown = err
  }
  t.ok(thrown instanceof AddressHeld)
  t.match(thrown, {
    code: 'ERR_FLATNET_ADDRESS_NOT_AVAILABLE',
    message: /10\.100\.1\.13 is held by the host interface fnip-10\.100\.1\.13/,
  })
  t.same(attempt.undo.rollback(silentLog), [], 'what was made is for the undo')
})

for (const name of ['EOPNOTSUPP', 'EINVAL'] as const)
  t.test(`a kernel without such names (${name}) has containers all the same`, async () => {
    made(Errno[name]).run()
  })

t.test('any other refusal is one', async (t) => {
  t.throws(made(Errno.ENOMEM).run, { message: /ENOMEM/ })
})
