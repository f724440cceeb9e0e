/** gateway/cluster, joining: a real TLS listener with tokens, and newcomers of every kind. */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { connect } from 'node:tls'
import t, { type Test } from 'tap'
import { issue, makeRequest } from '../../../../../gateway/cluster/identity/certificates.ts'
import { ClusterFiles } from '../../../../../gateway/cluster/identity/files.ts'
import {
  fingerprintOfCa,
  requestJoin,
  requestRenewal,
} from '../../../../../gateway/cluster/joining/joining.ts'
import { decodeToken, encodeToken, type Token } from '../../../../../gateway/cluster/joining/tokens.ts'
import { encodeMessage } from '../../../../../gateway/links/frames.ts'
import { Alpn, parseEndpoint, peerIdOf } from '../../../../../gateway/links/tls.ts'
import { testCluster } from '../../../../helpers/cluster/cluster.ts'
import { enter, firstMember, members, type RunningMember } from '../../../../helpers/cluster/cluster-run.ts'
import { scratchFolder } from '../../../../helpers/run/scratch.ts'

const wishes = async (now = Date.now()) => ({
  ...(await makeRequest()),
  name: 'new',
  endpoints: ['192.0.2.9:7443'],
  now,
})

const ask = async (token: string, now?: number) => requestJoin(decodeToken(token), await wishes(now))

async function both(t: Test): Promise<[RunningMember, RunningMember]> {
  const [one, two] = await members(t, 2)
  if (one === undefined || two === undefined) throw new Error('no members')
  return [one, two]
}

const first = (t: Test): Promise<RunningMember> => firstMember(t, join(scratchFolder(t), '1'))

t.test('a newcomer gets the lowest number that none ever had', async (t) => {
  const one = await first(t)
  const two = await ask(one.token())
  t.equal(two.hostId, 2)
  t.match(peerIdOf(new X509Certificate(two.certPem), 'testing'), { hostId: 2 })
  t.match(two.document.members[1], { hostId: 2, name: 'new', state: 'active', admits: false })
  t.same(
    two.document.members[1]?.endpoints,
    ['192.0.2.9:7443', '127.0.0.1:7443'],
    'with the address that it came from as a hint',
  )
  one.cluster.operations.revoke(2)
  t.equal((await ask(one.token())).hostId, 3, 'not that of one that was revoked')
  t.equal((await ask(one.token({ hostId: 17 }))).hostId, 17, 'the one that the operator chose')
  t.throws(() => one.token({ hostId: 2 }), /hostId 2 was given before/)
  t.throws(() => one.token({ hostId: 255 }), /from 1 to 254/)
  t.same(
    one.events.map((e) => [e.type, 'host' in e && e.host.hostId]),
    [
      ['hostJoined', 2],
      ['hostRevoked', 2],
      ['hostJoined', 3],
      ['hostJoined', 17],
    ],
  )
})

t.test('a token works once', async (t) => {
  const one = await first(t)
  const token = one.token()
  await ask(token)
  await t.rejects(ask(token), {
    code: 'spent',
    message: /host 1 refuses: the token was used at .*, by host 2/,
  })
})

t.test('of six that come with one token at once, one gets in', async (t) => {
  const one = await first(t)
  const token = one.token()
  const done = await Promise.allSettled(Array.from({ length: 6 }, () => ask(token)))
  t.equal(done.filter((d) => d.status === 'fulfilled').length, 1)
  t.match(
    done.filter((d) => d.status === 'rejected').map((d) => d.reason.code),
    Array(5).fill('spent'),
  )
  t.equal(one.cluster.state.document.members.length, 2)
})

t.test('one that did not hear the answer gets the same one again', async (t) => {
  const one = await first(t)
  const token = decodeToken(one.token())
  const same = await wishes()
  const a = await requestJoin(token, same)
  const b = await requestJoin(token, same)
  t.equal(b.hostId, a.hostId)
  const withAnother = await requestJoin(decodeToken(one.token()), same)
  t.equal(withAnother.hostId, a.hostId, 'and with a second token too: it is the same machine')
  one.cluster.operations.revoke(a.hostId)
  await t.rejects(requestJoin(token, same), { code: 'revoked' })
})

t.test('refused, with the reason', async (t) => {
  const one = await first(t)
  const good = decodeToken(one.token())
  const tampered = (part: Partial<Token>): string => encodeToken({ ...good, ...part })
  await t.rejects(ask(tampered({ secret: '00'.repeat(16) })), { code: 'unknown' })
  await t.rejects(ask(tampered({ caFingerprint: '00'.repeat(32) })), {
    code: 'unreachable',
    message: /another cluster is at this address/,
  })
  await t.rejects(ask(tampered({ hostId: 2 })), { message: /host 1 is at this address, not 2/ })
  await t.rejects(ask(tampered({ addresses: ['127.0.0.1:1', 'nonsense'] })), {
    code: 'unreachable',
    message: /127\.0\.0\.1:1: .*ECONNREFUSED.*nonsense: this is no host:port/,
  })
  t.equal(
    (await ask(tampered({ addresses: ['127.0.0.1:1', ...good.addresses] }))).hostId,
    2,
    'the next address is tried when one fails',
  )
})

t.test('expiry is the admitting host’s to judge', async (t) => {
  const one = await first(t)
  const token = one.token({}, 60_000)
  one.clock.offset = 61_000
  await t.rejects(ask(token, one.clock.now()), { code: 'expired', message: /expired at / })
})

t.test('a clock that is wrong is named, and the token is not used up', async (t) => {
  const one = await first(t)
  const token = one.token()
  await t.rejects(ask(token, Date.now() - 3 * 3_600_000), {
    code: 'clock',
    message: /this host's clock is 3 hours behind that of host 1/,
  })
  await t.rejects(ask(token, Date.now() + 7 * 60_000), { code: 'clock', message: /7 minutes ahead/ })
  t.equal((await ask(token)).hostId, 2)
})

t.test('a machine in the place of another', async (t) => {
  const [one, two] = await both(t)
  const old = two.cluster.state.keyId
  t.throws(() => one.token({ replaces: 9 }), /there never was a host 9/)
  t.throws(() => one.token({ replaces: 1 }), /cannot admit its own successor/)
  const folder = join(two.folder, '../new')
  t.equal(await enter(folder, one.token({ replaces: 2 })), 2)
  const [, member] = one.cluster.state.document.members
  t.match(member, { hostId: 2, state: 'active', formerKeys: [old] })
  t.match(one.cluster.state.refusal(2, old), /its key was revoked/)
})

t.test('who does not admit says who does', async (t) => {
  const [one, two] = await both(t)
  t.throws(() => two.token(), /do it on host 1 \(h1\)/)
  t.throws(() => two.cluster.operations.revoke(1), /do it on host 1/)
  t.throws(() => one.cluster.operations.revoke(1), /cannot revoke itself/)
  t.throws(() => one.cluster.operations.revoke(9), /there is no host 9/)
  // A token that was changed so that it leads to another member.
  const bent = decodeToken(one.token())
  const at = `127.0.0.1:${two.cluster.links.port}`
  await t.rejects(ask(encodeToken({ ...bent, hostId: 2, addresses: [at] })), { code: 'not-admitting' })
})

t.test('a member of the cluster cannot pose as the one that admits', async (t) => {
  const [one, two] = await both(t)
  const token = decodeToken(one.token())
  const at = `127.0.0.1:${two.cluster.links.port}`
  await t.rejects(ask(encodeToken({ ...token, addresses: [at] })), { message: /host 2 is at this address/ })
})

async function knock(one: RunningMember, write: (send: (data: Buffer) => void) => void): Promise<number> {
  const place = parseEndpoint(`127.0.0.1:${one.cluster.links.port}`)
  const socket = connect({ ...place, ALPNProtocols: [Alpn.join], rejectUnauthorized: false })
  socket.on('error', () => {})
  let received = 0
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length
  })
  await once(socket, 'secureConnect')
  write((data) => socket.write(data))
  await once(socket, 'close')
  return received
}

t.test('strangers are bounded', async (t) => {
  const one = await first(t)
  const flood = (send: (data: Buffer) => void): void => {
    for (let n = 0; n < 3; n++) send(encodeMessage({ type: 'x', filler: 'x'.repeat(5_000) }))
  }
  t.ok((await knock(one, flood)) < 8_000, 'more than 10 KB end it')
  await knock(one, (send) => send(Buffer.from('GET / HTTP/1.1\r\n\r\n')))
  await knock(one, (send) => send(encodeMessage({ type: 'join.request' })))
  await knock(one, (send) => send(encodeMessage({ type: 'join.renew', requestPem: 'x' })))
  await knock(one, (send) => send(encodeMessage({ type: 'nonsense' })))
  const request = {
    type: 'join.request',
    protocol: 1,
    secret: '00'.repeat(16),
    requestPem: 'x',
    endpoints: [],
  }
  await knock(one, (send) => send(encodeMessage(request)))
  t.equal((await ask(one.token())).hostId, 2, 'and a good one is served meanwhile')
})

t.test(
  'an address that guesses again and again has to wait, but one that shows a token gets in',
  async (t) => {
    const one = await first(t)
    const good = one.token()
    const bad = encodeToken({ ...decodeToken(good), secret: '11'.repeat(16) })
    for (let n = 0; n < 8; n++) await t.rejects(ask(bad), { code: 'unknown' })
    await t.rejects(ask(bad), { code: 'busy', message: /wait a minute/ })
    t.equal((await ask(good)).hostId, 2)
  },
)

t.test('what a secret would be worth never reaches a log', async (t) => {
  const one = await first(t)
  const token = one.token()
  const { secret } = decodeToken(token)
  await ask(token)
  await t.rejects(ask(token))
  const logged = JSON.stringify(one.logged)
  t.notMatch(logged, secret)
  t.notMatch(logged, 'fnj_')
})

t.test('renewal', async (t) => {
  const [one, two] = await both(t)
  const { identity } = two.cluster.state
  const ca = { certPem: identity.caPem, keyPem: one.cluster.state.demandCaKey() }
  const admitting = {
    caFingerprint: fingerprintOfCa(identity.caPem),
    hostId: 1,
    addresses: [`127.0.0.1:${one.cluster.links.port}`],
  }
  const { requestPem } = await makeRequest(identity.keyPem)
  /** A certificate for the key of host 2 that ended so many days ago. */
  const expired = (days: number) => {
    const now = Date.now() - (days + 1) * 86_400_000
    return issue(ca, requestPem, { cluster: 'testing', hostId: 2, now, days: 1 })
  }
  const renew = async (certPem: string, pem = requestPem) =>
    requestRenewal({ ...identity, certPem }, admitting, pem)

  for (const certPem of [identity.certPem, await expired(1), await expired(89)]) {
    const renewed = new X509Certificate((await renew(certPem)).certPem)
    t.match(peerIdOf(renewed, 'testing'), { hostId: 2, keyId: two.cluster.state.keyId })
    t.ok(Date.parse(renewed.validTo) > Date.now() + 89 * 86_400_000)
  }
  await t.rejects(renew(await expired(91)), { code: 'expired', message: /too long ago/ })
  const other = await makeRequest()
  await t.rejects(renew(identity.certPem, other.requestPem), { message: /for another key/ })
  const alien = await (await testCluster('testing')).identity(2)
  await t.rejects(requestRenewal({ ...alien }, admitting, requestPem), {
    message: /no certificate of this cluster/,
  })
  one.cluster.operations.revoke(2)
  await t.rejects(renew(identity.certPem), { code: 'revoked', message: /host 2 was revoked/ })
})

t.test('files of a host that entered', async (t) => {
  const one = await first(t)
  const folder = join(one.folder, '../2')
  await enter(folder, one.token())
  const files = new ClusterFiles(folder)
  t.ok(files.isComplete)
  t.equal(files.read('caKeyPem'), undefined, 'the key of the CA stays where it is')
})
