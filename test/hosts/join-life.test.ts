/** Members of a cluster over time: revoked, gone, replaced, renewed; seen from every other host. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { issue, makeRequest } from '../../gateway/cluster/certificates.ts'
import { allLinked, joinedHosts, type TestHost, tokenOf } from '../helpers/hosts.ts'
import { needsRoot } from '../helpers/netns.ts'
import { waitFor } from '../helpers/wait.ts'

const skip = needsRoot

const stateOf = async (at: TestHost, hostId: number): Promise<string | undefined> =>
  (await at.hosts()).find((h) => h.hostId === hostId)?.member?.state

const isCutOff = async (at: TestHost, hostId: number): Promise<boolean> =>
  (await stateOf(at, hostId)) === 'revoked' && !(await at.linksUp()).includes(hostId)

t.test('revoked', { skip }, async (t) => {
  const net = await joinedHosts(t, 4)
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
  await waitFor('host 2 is told by nobody and let in by nobody', 10_000, async () => {
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

t.test('gone and replaced', { skip }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]

  const admitting = await one.flatnet('leave')
  t.match(admitting.stderr, /this host admits the others/)

  t.match(await three.ok('leave'), /host 3 of testing has left/)
  t.match(await three.api('/v1/status'), { hostId: 3, cluster: null }, 'its gateway goes on alone')
  await waitFor('host 2 knows', 5_000, async () => (await stateOf(two, 3)) === 'left')
  t.match((await three.flatnet('leave')).stderr, /this host is in no cluster/)

  t.match(await three.ok('join', await tokenOf(one), '--name', 'h3'), /This is host 4/, 'a new number')
  await waitFor('host 4 is linked', 15_000, async () => (await two.linksUp()).includes(4))

  // The machine of host 2 burns down; the third one is set up in its place.
  await two.kill()
  await one.kill()
  const alone = await three.flatnet('leave')
  t.match(alone.stderr, /the cluster was not told: host 1.* was not reached[\s\S]*--force/)
  t.match(await three.ok('leave', '--force'), /the cluster was not told/)
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
})

t.test('renewed', { skip }, async (t) => {
  const net = await joinedHosts(t, 2)
  const [one, two] = [net.host(1), net.host(2)]
  const file = (host: TestHost, name: string): string => join(host.dataDir, 'cluster', name)
  const read = (host: TestHost, name: string): string => readFileSync(file(host, name), 'utf8')
  const ca = { certPem: read(one, 'ca.crt'), keyPem: read(one, 'ca.key') }
  const key = read(two, 'host.key')
  const { requestPem } = await makeRequest(key)

  t.comment('a certificate of thirty seconds, begun twenty-five ago')
  const days = 30 / 86_400
  const short = await issue(ca, requestPem, { cluster: 'testing', hostId: 2, now: Date.now() - 25_000, days })
  await two.stop()
  writeFileSync(file(two, 'host.crt'), short)
  await two.start()
  await waitFor('it renews itself', 15_000, () => read(two, 'host.crt') !== short)
  await allLinked(net)
  t.match(await two.api('/v1/status'), { cluster: { certificate: { state: 'valid' } } })

  t.comment('one that ended while the host was off')
  const over = await issue(ca, requestPem, { cluster: 'testing', hostId: 2, now: Date.now() - 60_000, days })
  await two.stop()
  writeFileSync(file(two, 'host.crt'), over)
  await two.start()
  await waitFor('it renews itself', 15_000, () => read(two, 'host.crt') !== over)
  await allLinked(net)
  t.equal(read(two, 'host.key'), key, 'with the key that it had')
})
