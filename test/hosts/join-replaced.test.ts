/** Hosts that leave, come back as others, and take the place of machines that are gone. */
import t from 'tap'
import { bareContainer } from '../helpers/cluster/host-container.ts'
import { joinedByCommands, type TestHost, tokenOf } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const stateOf = async (at: TestHost, hostId: number): Promise<string | undefined> =>
  (await at.hosts()).find((h) => h.hostId === hostId)?.member?.state

t.test('gone and replaced', { skip: needsRoot }, async (t) => {
  const net = await joinedByCommands(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]

  const admitting = await one.flatnet('leave')
  t.match(admitting.stderr, /this host admits the others/)

  const before = await bareContainer(t, three, 'before')
  await before.del()
  t.match(await three.ok('leave'), /host 3 of testing has left/)
  t.match(await three.api('/v1/status'), { hostId: 3, cluster: null }, 'its gateway goes on alone')
  await waitFor('host 2 knows', 5_000, async () => (await stateOf(two, 3)) === 'left')
  t.match((await three.flatnet('leave')).stderr, /this host is in no cluster/)

  t.match(await three.ok('join', await tokenOf(one), '--name', 'h3'), /This is host 4/, 'a new number')
  await waitFor('host 4 is linked', 15_000, async () => (await two.linksUp()).includes(4))
  const after = await bareContainer(t, three, 'after')
  t.match(after.ip, /^10\.100\.4\./, 'the bridge of the old slice is not in the way')
  await after.del()

  // The machine of host 2 burns down; the third one is set up in its place.
  await two.kill()
  await one.kill()
  const alone = await three.flatnet('leave')
  t.match(alone.stderr, /the cluster was not told: host 1.* was not reached[\s\S]*--force/)
  t.match(await three.ok('leave', '--force'), /The cluster was not told; .* flatnet revoke 4/)
  await one.start()
  t.match(await three.ok('join', await tokenOf(one, '--replace', '2')), /This is host 2/)
  await waitFor('host 2 is linked', 15_000, async () => (await one.linksUp()).includes(2))
  await two.start()
  await waitFor('the old one is refused', 15_000, () => one.logged('peer refused').length > 0)
  t.match(one.logged('peer refused').at(-1)?.reason, /its key was revoked/)
  await waitFor('and is in no link', 5_000, async () => (await two.linksUp()).length === 0)
  t.same(
    (await one.hosts()).map((h) => [h.hostId, h.member?.state]),
    [
      [1, 'active'],
      [2, 'active'],
      [3, 'left'],
      [4, 'active'],
    ],
  )

  const last = await one.ok('leave', '--force')
  t.match(last, /host 1 of testing has left/)
  t.match(last, /without \S+\/cluster\.left-\w+\/ca\.key no host can be admitted, revoked or renewed/)
  t.match(last, /put that file into <dataDir>\/cluster there[\s\S]*flatnet revoke 1/)
  t.notMatch(last, /--force|on the host that admits/, 'no advice to do what was done')
})
