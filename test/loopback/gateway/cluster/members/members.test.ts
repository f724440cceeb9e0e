/** gateway/cluster, the list of members among running hosts: it reaches all, cuts off at once, and is not set back. */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { FlatnetError } from '../../../../../core/errors.ts'
import { issue, makeRequest } from '../../../../../gateway/cluster/identity/certificates.ts'
import { ClusterFiles } from '../../../../../gateway/cluster/identity/files.ts'
import { memberOf, seal, withMembers } from '../../../../../gateway/cluster/members/document.ts'
import { signEndpoints } from '../../../../../gateway/cluster/members/endpoints.ts'
import { ClusterState } from '../../../../../gateway/cluster/members/state.ts'
import { testCluster } from '../../../../helpers/cluster/cluster.ts'
import {
  enter,
  isLinked,
  members,
  type RunningMember,
  runningMember,
} from '../../../../helpers/cluster/cluster-run.ts'
import { waitFor } from '../../../../helpers/run/wait.ts'

const WAIT = 15_000

async function three(t: Test): Promise<[RunningMember, RunningMember, RunningMember]> {
  const [a, b, c] = await members(t, 3)
  if (a === undefined || b === undefined || c === undefined) throw new Error('no members')
  await waitFor('all are linked', WAIT, () => isLinked(a, b) && isLinked(b, c) && isLinked(a, c))
  return [a, b, c]
}

const versions = (...all: RunningMember[]): number[] => all.map((m) => m.cluster.state.document.version)

// The first mostly waits: the others run meanwhile.
t.jobs = 2

t.test('of two machines with one identity neither can say that the host leaves', async (t) => {
  const [a, b] = await three(t)
  a.quarantined.add(2)
  await t.rejects(b.cluster.operations.leave(), {
    message: /was not reached: try again later, or leave with --force/,
  })
  t.equal(memberOf(a.cluster.state.document, 2)?.state, 'active')
  t.ok(a.logged.some((l) => l.event === 'leave of a host that is kept out was ignored'))
})

t.test('who joins is known to all, at its own address', async (t) => {
  const [a, b, c] = await three(t)
  t.same(versions(a, b, c), [3, 3, 3])
  await waitFor('b knows where c is', WAIT, () => b.cluster.state.endpoints.get(3) !== undefined)
  t.same(b.cluster.state.members().find((m) => m.hostId === 3)?.endpoints, [
    `127.0.0.1:${c.cluster.links.port}`,
  ])
  t.match(b.events, [{ type: 'hostJoined', host: { hostId: 3, name: 'h3' } }])
})

t.test('who is revoked is cut off by all, and knows it', async (t) => {
  const [a, b, c] = await three(t)
  const from = performance.now()
  a.cluster.operations.revoke(3)
  t.equal(a.cluster.links.view(3), undefined, 'at once where it was done')
  await waitFor('b has cut it off', 5_000, () => b.cluster.links.view(3) === undefined)
  t.ok(performance.now() - from < 5_000)
  await waitFor('c knows', 5_000, () => c.cluster.state.removedWhy !== undefined)
  t.match(c.cluster.state.removedWhy, /host 3 was revoked/)
  t.same(c.cluster.links.views(), [], 'and lets go of the others')
  t.match(b.events.at(-1), { type: 'hostRevoked', host: { hostId: 3 } })
  t.ok(isLinked(a, b), 'the others stay linked')
})

t.test('a host that was down learns it from any member it meets', async (t) => {
  const [a, b, c] = await three(t)
  await b.stop()
  a.cluster.operations.revoke(3)
  await a.stop()
  // c missed it too: it was cut off before, as far as it knows it is still a member.
  await b.start()
  t.equal(b.cluster.state.document.version, 3)
  await a.start()
  await waitFor('b has the list', WAIT, () => b.cluster.state.document.version === 4)
  t.equal(b.cluster.links.view(3), undefined)
  t.match(b.cluster.state.refusal(3, c.cluster.state.keyId), /was revoked/)
})

t.test('one that leaves is told so by the list', async (t) => {
  const [a, b, c] = await three(t)
  await c.cluster.operations.leave()
  t.match(c.cluster.state.removedWhy, /host 3 has left/)
  await waitFor('all know', WAIT, () => versions(a, b).every((v) => v === 4))
  t.equal(memberOf(b.cluster.state.document, 3)?.state, 'left')
  await t.rejects(a.cluster.operations.leave(), /admits the others/)
  await a.stop()
  await waitFor('b has noticed', WAIT, () => b.cluster.links.view(1)?.state !== 'up')
  await t.rejects(b.cluster.operations.leave(), /host 1, which keeps the list of members, was not reached/)
})

t.test('a new machine takes the number, the old one is cut off', async (t) => {
  const [a, b, c] = await three(t)
  const folder = join(c.folder, '../new3')
  t.equal(await enter(folder, a.token({ replaces: 3 }), 'h3'), 3)
  await waitFor('the old one is out', 5_000, () => c.cluster.state.removedWhy !== undefined)
  const fresh = await runningMember(t, folder, 3)
  await waitFor('the new one is linked', WAIT, () => isLinked(a, fresh) && isLinked(b, fresh))
  t.match(b.events.at(-1), { type: 'hostJoined', host: { hostId: 3 } })
})

t.test('what a peer sends is taken only when the CA signed it and it follows', async (t) => {
  const [a, b] = await three(t)
  const { state } = b.cluster
  const { document } = state
  const key = a.cluster.state.demandCaKey()
  const before = readFileSync(b.files.path('members'), 'utf8')
  const revived = withMembers(document, { ...memberOf(document, 3)!, state: 'revoked' })
  const forged = seal(revived, state.identity.keyPem)
  t.throws(() => state.adopt(forged), /not signed by the cluster's CA/, 'signed by an ordinary host')
  t.throws(() => state.adopt({ ...state.sealed, text: '{}' }), /not signed/)
  t.throws(() => state.adopt(undefined), /no sealed list/)
  t.equal(readFileSync(b.files.path('members'), 'utf8'), before, 'nothing was kept of it')
  t.same(
    state.adopt(seal({ ...document, version: 1, members: document.members.slice(0, 1) }, key)),
    {
      kind: 'known',
    },
    'an older one changes nothing',
  )
  t.same(state.adopt(seal(revived, key)), { kind: 'newer' })
  const unrevoked = withMembers(revived, memberOf(document, 3)!)
  t.match(state.adopt(seal(unrevoked, key)), { kind: 'conflict', reason: /revoked and cannot become active/ })
  t.match(state.refusal(3, memberOf(document, 3)!.keyId), /revoked/)
})

t.test('an admitting host that was restored from a snapshot', async (t) => {
  const [a, b, c] = await three(t)
  const snapshot = readFileSync(a.files.path('members'), 'utf8')
  a.cluster.operations.revoke(3)
  const four = await runningMember(t, join(a.folder, '../4'), await enter(join(a.folder, '../4'), a.token()))
  await waitFor('all have it', WAIT, () => versions(b, four).every((v) => v === 5))
  await a.stop()
  await b.stop()
  await four.stop()
  writeFileSync(a.files.path('members'), snapshot)
  await a.start()
  // Alone, it gives number 4 once more.
  const rival = join(a.folder, '../rival')
  t.equal(await enter(rival, a.token()), 4)
  await b.start()
  await waitFor('they agree', WAIT, () => {
    const [x, y] = versions(a, b)
    return x === y && x === 6
  })
  const { document } = b.cluster.state
  t.equal(memberOf(document, 3)?.state, 'revoked', 'nobody came back by it')
  t.equal(memberOf(document, 4)?.keyId, four.files.isComplete && new ClusterState(four.files).keyId)
  t.equal(memberOf(document, 4)?.formerKeys.length, 1, 'the second holder of the number has to join anew')
  t.ok(a.logged.some((l) => l.event === 'lists of members had parted and were merged'))
  t.ok(c.hostId)
})

t.test('the host that admits is lost, and another gets its key from a backup', async (t) => {
  const [a, b, c] = await three(t)
  const key = a.cluster.state.demandCaKey()
  await a.stop()
  await b.stop()
  b.files.write('caKeyPem', (await testCluster()).ca.keyPem)
  await b.start()
  t.throws(() => b.token(), /ca\.key is not the key of this cluster's CA/, 'the key of another CA is none')
  await b.stop()
  b.files.write('caKeyPem', key)
  await b.start()
  await waitFor('c knows', WAIT, () => memberOf(c.cluster.state.document, 2)?.admits === true)
  t.equal(await enter(join(b.folder, '../4'), b.token()), 4)
  b.cluster.operations.revoke(1)
  await waitFor('c knows that too', WAIT, () => memberOf(c.cluster.state.document, 1)?.state === 'revoked')
})

t.test('endpoints', async (t) => {
  const [a, b, c] = await three(t)
  const known = await waitFor('b knows where c is', WAIT, () => b.cluster.state.endpoints.get(3))
  const seq = known.seq + 10
  const moved = signEndpoints(c.cluster.state.identity, seq, ['192.0.2.3:7443'])
  t.notOk(b.cluster.state.putEndpoints({ ...moved, endpoints: ['192.0.2.66:7443'] }), 'not what it signed')
  const posed = signEndpoints({ ...c.cluster.state.identity, hostId: 1 }, seq, ['192.0.2.66:7443'])
  t.notOk(b.cluster.state.putEndpoints(posed), 'of another host')
  t.notOk(b.cluster.state.putEndpoints({ ...moved, seq: seq + 1 }), 'a number that it did not sign')
  t.ok(c.cluster.state.putEndpoints(moved))
  t.ok(c.cluster.links.send(2, { type: 'cluster.endpoints', records: [moved, { nonsense: true }] }))
  await waitFor('a hears it by b', WAIT, () => a.cluster.state.endpoints.get(3)?.seq === seq)
  t.notOk(a.cluster.state.putEndpoints(moved), 'once')
  t.equal(a.cluster.state.members().find((m) => m.hostId === 3)?.endpoints[0], '192.0.2.3:7443')
})

t.test('a certificate renews itself, over the link or by dialling', async (t) => {
  const [a, b] = await three(t)
  const { identity } = b.cluster.state
  const ca = { certPem: identity.caPem, keyPem: a.cluster.state.demandCaKey() }
  const { requestPem } = await makeRequest(identity.keyPem)
  const days = 10
  for (const agoDays of [8, 11]) {
    const now = Date.now() - agoDays * 86_400_000
    const old = await issue(ca, requestPem, { cluster: 'testing', hostId: 2, now, days })
    await b.stop()
    b.files.write('certPem', old)
    await b.start()
    const isExpired = agoDays > days
    await waitFor(`renewed after ${agoDays} of ${days} days`, WAIT, () => b.files.read('certPem') !== old)
    t.equal(b.cluster.certificateStatus().state, 'valid', isExpired ? 'expired' : 'in time')
    await waitFor('linked', WAIT, () => isLinked(a, b))
  }
  const { keyPem, ...own } = a.cluster.state.identity
  await a.stop()
  const mine = await makeRequest(keyPem)
  const now = Date.now() - 20 * 86_400_000
  a.files.write('certPem', await issue(ca, mine.requestPem, { cluster: 'testing', hostId: 1, now, days }))
  await a.start()
  await waitFor(
    'the admitting host renews its own',
    WAIT,
    () => a.cluster.certificateStatus().state === 'valid',
  )
  t.not(a.cluster.state.identity.certPem, own.certPem)
  await waitFor('linked', WAIT, () => isLinked(a, b))
})

t.test('files', async (t) => {
  const [a, b] = await three(t)
  for (const file of ['caKeyPem', 'keyPem'] as const)
    t.equal(statSync(a.files.path(file)).mode & 0o777, 0o600)
  t.equal(statSync(a.files.folder).mode & 0o777, 0o700)
  await b.stop()
  b.files.write('members', '{"text": ')
  t.throws(() => new ClusterState(b.files), /members\.json cannot be used; put it back from a backup/)
  const kept = ['certPem', 'keyPem', 'caPem', 'members'] as const
  const [cert = '', key = '', ca = '', list = ''] = kept.map((file) => a.files.read(file))
  const put = (...texts: string[]) => {
    for (const [i, file] of kept.entries()) b.files.write(file, texts[i] ?? '')
  }
  put(cert.slice(0, 200), key, ca, list)
  t.throws(() => new ClusterState(b.files), {
    code: 'ERR_FLATNET_STORE',
    message: /host\.crt cannot be used/,
  })
  put(cert, 'nonsense', ca, list)
  t.throws(() => new ClusterState(b.files), {
    code: 'ERR_FLATNET_STORE',
    message: /host\.key cannot be used/,
  })
  put(cert, (await makeRequest()).keyPem, ca, list)
  t.throws(() => new ClusterState(b.files), /host\.key is not the key of .*host\.crt/)
  put(cert, key, '', list)
  t.throws(() => new ClusterState(b.files), { code: 'ERR_FLATNET_STORE', message: /ca\.crt cannot be used/ })
  put(cert, key, (await testCluster()).ca.certPem, list)
  t.throws(() => new ClusterState(b.files), /ca\.crt has not signed .*host\.crt/)
  a.files.write('caKeyPem', 'nonsense')
  t.throws(() => a.token(), {
    code: 'ERR_FLATNET_STORE',
    message: /ca\.key is not the key of this cluster's CA/,
  })
  b.files.remove('certPem')
  t.throws(() => new ClusterState(b.files), /host\.crt is missing/)
  const to = b.files.setAside(new Date('2026-11-20T12:00:00.000Z'))
  t.match(to, /cluster\.left-20261120T120000Z$/)
  t.notOk(new ClusterFiles(b.folder).isComplete)
})

t.test('a disk that is full', async (t) => {
  const [a, b, c] = await three(t)
  const { write } = b.files
  const full = (file: string): never => {
    throw new FlatnetError('ERR_FLATNET_IO', `cannot write ${file}`)
  }
  b.files.write = full
  const seq = (b.cluster.state.endpoints.get(3)?.seq ?? 0) + 10
  const moved = signEndpoints(c.cluster.state.identity, seq, ['192.0.2.3:7443'])
  t.ok(c.cluster.links.send(2, { type: 'cluster.endpoints', records: [moved] }))
  await waitFor('b knows where c is, and says so', WAIT, () => a.cluster.state.endpoints.get(3)?.seq === seq)
  t.equal(b.cluster.state.endpoints.get(3)?.seq, seq)
  a.cluster.operations.revoke(3)
  await waitFor('b has cut it off all the same', 5_000, () => b.cluster.links.view(3) === undefined)
  t.ok(b.logged.some((l) => l.event === 'list of members could not be kept'))
  b.files.write = write
  t.ok(b.cluster.state.keep(), 'there is room again')
  t.equal(new ClusterState(b.files).document.version, 4)
  b.files.write = full
  await b.stop()
  b.files.remove('endpoints')
  await b.start()
  await waitFor('it starts, and is linked', WAIT, () => isLinked(a, b))
  t.ok(b.logged.some((l) => l.event === 'addresses of hosts could not be kept'))
  b.files.write = write
})

t.test('addresses that come together are written once', async (t) => {
  const [a, b, c] = await three(t)
  let writes = 0
  const write = b.files.write.bind(b.files)
  b.files.write = (file, text) => {
    writes += Number(file === 'endpoints')
    write(file, text)
  }
  const records = [a, c].map((m) => {
    const { seq = 0 } = b.cluster.state.endpoints.get(m.hostId) ?? {}
    return signEndpoints(m.cluster.state.identity, seq + 10, [`192.0.2.${m.hostId}:7443`])
  })
  c.cluster.links.send(2, { type: 'cluster.endpoints', records })
  const at = records[1]?.seq
  await waitFor('b has them', WAIT, () => b.cluster.state.endpoints.get(3)?.seq === at)
  t.equal(b.cluster.state.endpoints.get(1)?.seq, records[0]?.seq)
  t.equal(writes, 1)
})
