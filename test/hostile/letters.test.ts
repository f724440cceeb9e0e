/**
 * A member that carries the letters of two others and has gone bad: it sends them again, later, to whom they are not
 * for, under other names, and floods both. The ends stay direct, and no other pair feels it.
 */
import { createPublicKey, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ClusterFiles } from '../../gateway/cluster/identity/files.ts'
import { unseal } from '../../gateway/cluster/members/document.ts'
import { CARRY } from '../../gateway/dataplane/p2p/letters/forwarder.ts'
import { type Letter, writeLetter } from '../../gateway/dataplane/p2p/letters/letter.ts'
import type { ControlMessage, Identity } from '../../gateway/links/types.ts'
import { switchUdp } from '../helpers/cluster/configure.ts'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import type { TestHost } from '../helpers/cluster/hosts.ts'
import { failures, pathTo, requestsInTurn, worstGap } from '../helpers/cluster/p2p-pair.ts'
import { type Orders, order } from '../helpers/hostile/bad-member.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { hostsInChain, openMiddle } from '../helpers/nat/chain.ts'
import { ROOT } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const PATIENCE_MS = 60_000
/** On a busy machine UDP varies by itself, and hosts rightly leave such a path for a while. */
const IS_SLOW = /slower than the gateway path|jitter is larger than a round trip/
/** Of the host that the test starts anew, until it has taken over the path. */
const IS_START = /first connection not yet made/
/** More than the 512 letters that a host reads of one link at once. */
const FLOOD = 600

type Order = Orders[number]

const carry = (to: number, letter: unknown, hops = 1): Order => [
  to,
  { type: CARRY, hops, letter } as unknown as ControlMessage,
]

const isDirect = async (one: TestHost, two: TestHost): Promise<boolean> =>
  (await Promise.all([pathTo(one, two.index), pathTo(two, one.index)])).every(
    ({ state }) => state === 'P2P_ACTIVE',
  )

/** How many letters a host has refused for a reason, or without one: has read. */
async function letters(host: TestHost, reason?: string): Promise<number> {
  const labels = reason === undefined ? 'what="arrived"' : `what="refused",reason="${reason}"`
  const [, count] =
    new RegExp(`^flatnet_letters_total\\{${labels}\\} (\\d+)$`, 'm').exec(await host.metrics()) ?? []
  return Number(count ?? 0)
}

/** Waits until the host has refused so many more for each reason than it had. */
async function refuses(
  t: Test,
  host: TestHost,
  reasons: Readonly<Record<string, number>>,
  act: () => Promise<unknown>,
): Promise<void> {
  const names = Object.keys(reasons)
  const before = await Promise.all(names.map((reason) => letters(host, reason)))
  await act()
  for (const [i, reason] of names.entries()) {
    const most = (before[i] ?? 0) + (reasons[reason] ?? 0)
    const now = await waitFor(`host ${host.index} has refused letters: ${reason}`, PATIENCE_MS, async () => {
      const count = await letters(host, reason)
      return count >= most ? count : undefined
    })
    t.comment(`host ${host.index}: ${reason}: ${now - (before[i] ?? 0)}`)
  }
}

/** Of a host, as its files have it: the bad member has its own, and its public key everyone has. */
function identityOf({ dataDir, index }: TestHost): { readonly identity: Identity; readonly spki: Buffer } {
  const files = new ClusterFiles(dataDir)
  const [caPem = '', certPem = '', keyPem = '', members = ''] = (
    ['caPem', 'certPem', 'keyPem', 'members'] as const
  ).map((name) => files.read(name))
  const { cluster } = unseal(JSON.parse(members), caPem)
  const spki = createPublicKey(keyPem).export({ type: 'spki', format: 'der' })
  return { identity: { cluster, hostId: index, caPem, certPem, keyPem }, spki }
}

function written(by: TestHost, to: TestHost, sealedFor: TestHost, message: ControlMessage): Letter {
  const at = Date.now()
  const place = { to: to.index, toSpki: identityOf(sealedFor).spki, seq: at, at }
  const letter = writeLetter(identityOf(by).identity, place, { message })
  if (letter === undefined) throw new Error('the letter was not sealed')
  return letter
}

const offer = (): ControlMessage =>
  ({
    type: 'p2p.offer',
    attempt: randomBytes(8).toString('hex'),
    generation: 9_999,
    candidates: ['192.0.2.99:7443'],
    version: 1,
  }) as unknown as ControlMessage

t.test('letters and a carrier that has gone bad', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  const chain = await hostsInChain(t, 'cone')
  const [one, bad, three, four] = chain
  const socket = join(bad.dir, 'bad')
  await bad.stop()
  await bad.start({
    imports: [join(ROOT, 'test/helpers/hostile/bad-member.ts')],
    env: { FLATNET_BAD_MEMBER: socket },
  })
  await waitFor('the carrier has its links', PATIENCE_MS, async () => `${await bad.linksUp()}` === '1,4')
  await openMiddle(chain)
  for (const host of [three, four]) switchUdp(host, true)
  await waitFor('the ends are direct by letters', PATIENCE_MS, async () => {
    const { tier } = await pathTo(three, 4)
    return tier === 'punch' && (await isDirect(three, four))
  })
  const carried = (await order(socket, []))
    .filter(([, { type }]) => type === CARRY)
    .map(([, message]) => message['letter'] as Letter)
  const [outwards, homewards] = [3, 4].map((from) => carried.filter((letter) => letter.from === from))
  t.ok(outwards?.length && homewards?.length, `it carried ${carried.length} letters, both ways`)
  const apple = await hostContainer(t, three, 'apple')
  const targets = [await hostContainer(t, four, 'berry'), await hostContainer(t, one, 'cherry')]
  const known = [three, four].map((host) => host.logged('path changed').length)
  const requests = requestsInTurn(apple, targets, 40)
  await requests.answered(40)

  await t.test('sent again, twice, and back where they came from: known', async (t) => {
    const arrived = await letters(four)
    const orders = carried.flatMap((letter) => [1, 4, 1, 4].map((to) => carry(to, letter)))
    const all = { known: carried.length * 2 }
    await refuses(t, one, all, () => refuses(t, four, all, () => order(socket, orders)))
    await order(socket, [])
    const calls = (await letters(four)) - arrived
    t.ok(calls <= 4, `host 4 has read ${calls} letters meanwhile, which its peer has written`)
  })

  await t.test('to another receiver, under another name, sealed for another: refused', async (t) => {
    const [letter] = outwards ?? []
    const own = written(bad, four, four, offer())
    const orders = [
      carry(4, { ...letter, to: 2 }),
      carry(4, { ...letter, from: 1 }),
      carry(4, { ...letter, seq: Date.now() }),
      carry(4, { ...own, from: 3 }),
      carry(1, { ...letter, to: 1 }),
      carry(1, { ...own, from: 3, to: 1 }),
    ]
    const forged = () => refuses(t, four, { forged: 3 }, () => order(socket, orders))
    // By its number the first one is known: what it says it is for is not looked at then.
    await refuses(t, one, { forged: 1 }, forged)
    await refuses(t, four, { 'not opened': 1 }, () =>
      order(socket, [carry(4, written(bad, four, one, offer()))]),
    )
    await order(socket, [])
  })

  await t.test('in a flood: no more than its share is looked at', async (t) => {
    const flood = Array.from({ length: FLOOD }, (_, i) =>
      [1, 4].map((to) => carry(to, { ...written(bad, four, four, offer()), from: 3, seq: Date.now() + i })),
    ).flat()
    const tooMany = { 'too many': 100 }
    await refuses(t, one, tooMany, () => refuses(t, four, tooMany, () => order(socket, flood)))
    await order(socket, [])
  })

  await t.test('to a host that was started anew and knows none of them: late', async (t) => {
    const opened = () => four.logged('host was reached by letters, as it has no link').length
    const before = opened()
    await four.kill()
    await four.start()
    await waitFor('host 3 has called it, and both are direct', PATIENCE_MS, async () => {
      return opened() > before && (await isDirect(three, four))
    })
    await refuses(t, four, { late: 2 }, () =>
      order(
        socket,
        (outwards ?? []).map((letter) => carry(4, letter)),
      ),
    )
    await order(socket, [])
  })

  await t.test('the ends stayed direct, and other pairs were not disturbed', async (t) => {
    const answers = await requests.stop()
    t.same(failures(answers), [], `none of ${answers.length} requests failed`)
    t.comment(`worst gap ${worstGap(answers)} ms`)
    for (const [i, host] of [three, four].entries()) {
      const isAside = (reason: string): boolean =>
        IS_SLOW.test(reason) || (host === four && IS_START.test(reason))
      const left = host
        .logged('path changed')
        .slice(known[i])
        .filter(({ peer, path, reason }) => [3, 4].includes(peer) && !/^P2P/.test(path) && !isAside(reason))
      t.same(
        left.map(({ path, reason }) => `${path}: ${reason}`),
        [],
        'nothing of it ends the path',
      )
    }
    for (const host of [one, three, four])
      t.equal(host.logged('gateway ends by an error that nobody caught').length, 0)
  })
})
