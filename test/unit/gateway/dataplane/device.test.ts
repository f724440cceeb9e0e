/** gateway/dataplane/device: the tunnel goes on without it and has it again when it can be had. */
import t from 'tap'
import type { Log } from '../../../../core/log.ts'
import { silentLog } from '../../../../core/log.ts'
import { DeviceSlot } from '../../../../gateway/dataplane/device.ts'
import type { Tun, TunSink } from '../../../../kernel/tun.ts'
import { SimTime } from '../../../helpers/sim/network.ts'

function simulation() {
  const time = new SimTime()
  const said: string[] = []
  const state = {
    refuse: undefined as string | undefined,
    isGone: false,
    fault: undefined as string | undefined,
    opened: 0,
    closed: 0,
    uso: undefined as unknown,
  }
  let sink: TunSink | undefined
  const log: Log = { ...silentLog, warn: (_, event) => said.push(event) }
  const tun = (): Tun => ({
    ifname: 'flatnet-gw',
    ifindex: 7,
    offloads: 'tcp+ecn+udp',
    takesUso: true,
    read: () => 20,
    write: (buf) => buf.byteLength,
    start: (given) => {
      sink = given
    },
    requestUso: (want) => {
      if (state.isGone) throw new Error('EBADFD')
      state.uso = want
    },
    close: () => {
      state.closed++
    },
  })
  const slot = new DeviceSlot({
    scheduler: time.scheduler(() => 0),
    log,
    open() {
      if (state.refuse !== undefined) throw new Error(state.refuse)
      return tun()
    },
    opened: () => {
      if (state.fault !== undefined) throw new Error(state.fault)
      state.opened++
    },
  })
  const packets: number[] = []
  slot.start({
    buffer: () => new Uint8Array(4),
    packet: (n) => packets.push(n),
  })
  return {
    time,
    slot,
    said,
    state,
    packets,
    lose: () => sink?.failed(new Error('flatnet-gw is gone')),
    sink: () => sink,
  }
}

const bytes = new Uint8Array(3)

t.test('there at once', (t) => {
  const { slot, state, packets, sink } = simulation()
  t.equal(slot.why, undefined)
  t.equal(state.opened, 1)
  t.equal(slot.read(bytes), 20)
  t.equal(slot.write(bytes), 3)
  sink()?.packet(9)
  t.same(packets, [9])
  slot.close()
  t.equal(state.closed, 1)
  t.equal(slot.write(bytes), -5, 'as a device that is down')
  t.end()
})

t.test('lost, refused for two reasons, and back with the setting of before', (t) => {
  const { time, slot, said, state, packets, lose } = simulation()
  slot.requestUso(false)
  t.equal(state.uso, false)
  state.uso = undefined
  state.refuse = 'there is no TUN device here'
  lose()
  lose()
  t.equal(slot.why, 'flatnet-gw is gone')
  t.equal(slot.read(bytes), -5)
  time.run(60_000)
  t.equal(slot.why, 'there is no TUN device here')
  state.refuse = 'in use'
  time.run(60_000)
  t.same(said, ['tunnel device was lost', 'tunnel device could not be had', 'tunnel device could not be had'])
  state.refuse = undefined
  time.run(2_000)
  t.equal(slot.why, undefined)
  t.equal(state.opened, 2)
  t.equal(state.uso, false)
  t.same(packets, [], 'the tunnel never heard of it')
  t.end()
})

t.test('deleted, and not yet known to be: a link that comes or goes does not fail', (t) => {
  const { slot, state } = simulation()
  state.isGone = true
  slot.requestUso(false)
  t.equal(slot.why, undefined)
  t.end()
})

t.test('opened, and not fit for use: it is closed, or the next try would find it busy', (t) => {
  const { time, slot, state, lose } = simulation()
  state.fault = 'routes cannot be read'
  lose()
  time.run(2_000)
  t.equal(slot.why, 'routes cannot be read')
  t.equal(state.closed, 1)
  state.fault = undefined
  time.run(2_000)
  t.equal(slot.why, undefined)
  t.equal(state.opened, 2)
  t.end()
})

t.test('closed while it waits: it is not opened again', (t) => {
  const { time, slot, state, lose } = simulation()
  lose()
  slot.close()
  time.run(10_000)
  t.equal(state.opened, 1)
  t.end()
})
