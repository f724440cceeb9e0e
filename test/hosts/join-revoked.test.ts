/** A host that is revoked: cut off by all, also by those that were down, and although it does not listen. */
import t from 'tap'
import { joinedByCommands, type TestHost } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const stateOf = async (at: TestHost, hostId: number): Promise<string | undefined> =>
  (await at.hosts()).find((h) => h.hostId === hostId)?.member?.state

const isCutOff = async (at: TestHost, hostId: number): Promise<boolean> =>
  (await stateOf(at, hostId)) === 'revoked' && !(await at.linksUp()).includes(hostId)

t.test('revoked', { skip: needsRoot }, async (t) => {
  const net = await joinedByCommands(t, 4)
  const [one, two, three, four] = [net.host(1), net.host(2), net.host(3), net.host(4)]
  // Host 2 does not hear of it, as a stolen machine would not listen; host 4 is down.
  net.cut(1, 2)
  await four.kill()
  const from = performance.now()
  t.match(await one.ok('revoke', '2'), /host 2 \(h2\) is revoked/)
  const said = performance.now()
  await waitFor('host 3 has cut it off', 5_000, () => isCutOff(three, 2))
  t.ok(performance.now() - said < 5_000, `${Math.round(performance.now() - from)} ms with the command`)
  await four.start()
  await waitFor('host 4, back, refuses it', 5_000, () => isCutOff(four, 2))
  net.healAll()
  await waitFor('no host tells host 2, and none lets it in', 10_000, async () => {
    const all = await Promise.all([one, three, four].map((h) => isCutOff(h, 2)))
    return all.every(Boolean) && (await two.linksUp()).length === 0
  })
  await one.restart()
  await waitFor('the others find each other again', 20_000, async () => (await one.linksUp()).length === 2)
  t.ok(await isCutOff(one, 2), 'also after a restart')
  const events = await one.exec(['curl', '-s', '--unix-socket', one.socket, 'http://flatnet/metrics'])
  t.match(events.stdout, /^flatnet_cluster_members 3$/m)
  t.ok(three.logged('peer link changed').length > 0)
})
