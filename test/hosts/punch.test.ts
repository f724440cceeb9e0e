/**
 * Two hosts behind port-restricted NATs with no hub: four hosts in a chain, whose ends become direct by letters that
 * the two between carry.
 */
import t, { type Test } from 'tap'
import type { TierInfo } from '../../core/api.ts'
import { switchUdp } from '../helpers/cluster/configure.ts'
import type { TestHost } from '../helpers/cluster/hosts.ts'
import { pathTo } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { hostsInChain, openMiddle, PUBLIC } from '../helpers/nat/chain.ts'
import { keepsBound } from '../helpers/run/bound.ts'
import { waitFor } from '../helpers/run/wait.ts'

const WAIT_MS = 60_000
const DIRECT_MS = 2_000

/** Switches UDP on at both ends, and pings. @returns how long the first reply took since letters got through */
async function punched(t: Test, three: TestHost, four: TestHost): Promise<number> {
  const child = three.spawn('ping', '-n', '-D', '-i', '0.05', '-I', '10.100.3.1', '10.100.4.1')
  let out = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  const began = Date.now()
  for (const host of [three, four]) switchUdp(host, true)
  const at = await waitFor('a reply', WAIT_MS, () => {
    const [, seconds] = /^\[(\d+\.\d+)\] .*bytes from/m.exec(out) ?? []
    return seconds === undefined ? undefined : Number(seconds) * 1_000
  })
  child.kill('SIGKILL')
  const opened = three
    .logged('host was reached by letters, as it has no link')
    .findLast(({ peer }) => peer === 4)
  const ms = Math.round(at - new Date(opened.time).getTime())
  t.comment(
    `first packet ${Math.round(at - began)} ms after UDP was switched on, ${ms} after letters got through`,
  )
  return ms
}

const isIsolated = (three: TestHost): Promise<unknown> =>
  waitFor('the ends have no way', WAIT_MS, async () => (await pathTo(three, 4)).state === 'ISOLATED')

t.test('the ends of a chain', { skip: needsRoot, timeout: 180_000 }, async (t) => {
  const chain = await hostsInChain(t, 'portRestricted')
  const [one, , three, four] = chain
  await isIsolated(three)
  await openMiddle(chain)
  let isOn = false
  await keepsBound(t, 'the first packet after letters', DIRECT_MS, async () => {
    if (isOn) for (const host of [three, four]) switchUdp(host, false)
    isOn = true
    await isIsolated(three)
    return punched(t, three, four)
  })
  for (const [host, to] of [
    [three, 4],
    [four, 3],
  ] as const)
    await waitFor(`host ${host.index} is direct`, WAIT_MS, async () => {
      const { state, tier, p2p } = await pathTo(host, to)
      return state === 'P2P_ACTIVE' && tier === 'punch' && p2p?.address?.startsWith(`${PUBLIC[to as 3 | 4]}:`)
    })
  const tiers: TierInfo[] = JSON.parse(await three.ok('tiers', '--json'))
  t.match(
    tiers.find(({ name }) => name === 'punch'),
    { tries: Number, successes: Number, medianMs: Number },
  )
  t.match(await one.metrics(), /^flatnet_letters_total\{what="passed"\} [1-9]/m)
})
