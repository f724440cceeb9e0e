/** Certificates for HTTPS: where the CA's key is, from another host, and what is refused. */

import { X509Certificate } from 'node:crypto'
import t, { type Test } from 'tap'
import { systemClock } from '../../../../../core/clock.ts'
import { browserCa } from '../../../../../gateway/cluster/identity/browser-ca.ts'
import { BrowserCertificates } from '../../../../../gateway/cluster/identity/browser-certificates.ts'
import { ClusterFiles } from '../../../../../gateway/cluster/identity/files.ts'
import type { ClusterState } from '../../../../../gateway/cluster/members/state.ts'
import type { ControlMessage } from '../../../../../gateway/links/types.ts'
import { testCluster } from '../../../../helpers/cluster/cluster.ts'
import { scratchFolder } from '../../../../helpers/run/scratch.ts'

const cluster = await testCluster()

/** Hosts 1, which admits, and 2, with a link of function calls. */
async function twoHosts(t: Test, { domains = [] as string[], isLinked = true } = {}) {
  const hosts = new Map<number, BrowserCertificates>()
  const members = [
    { hostId: 1, admits: true, state: 'active' },
    { hostId: 2, admits: false, state: 'active' },
  ]
  const host = async (hostId: number): Promise<BrowserCertificates> => {
    const identity = await cluster.identity(hostId)
    const state = {
      identity,
      caKeyPem: hostId === 1 ? cluster.ca.keyPem : undefined,
      document: { members },
      files: new ClusterFiles(scratchFolder(t)),
    } as unknown as ClusterState
    const send = (to: number, message: ControlMessage): boolean => {
      const there = hosts.get(to)
      if (!isLinked || there === undefined) return false
      if (message.type === 'cluster.certify') there.onQuestion(hostId, message)
      else there.onAnswer(hostId, message)
      return true
    }
    return new BrowserCertificates({
      state,
      domains: hostId === 1 ? domains : ['*'],
      clock: systemClock,
      send,
    })
  }
  const [one, two] = [await host(1), await host(2)]
  hosts.set(1, one).set(2, two)
  return { one, two }
}

t.test('the CA is the same each time, and of a kind that browsers take', async (t) => {
  const { certPem, keyPem } = cluster.ca
  const [a, b] = [await browserCa('x', certPem, keyPem), await browserCa('x', certPem, keyPem)]
  const [ca, again] = [new X509Certificate(a.certPem), new X509Certificate(b.certPem)]
  t.equal(ca.publicKey.asymmetricKeyType, 'ec')
  t.ok(ca.ca)
  t.ok(ca.verify(again.publicKey), 'one key')
  t.equal(ca.serialNumber, again.serialNumber)
  t.equal(ca.subject, again.subject)
  t.equal(ca.validTo, again.validTo)
  const other = await testCluster('other')
  const foreign = new X509Certificate((await browserCa('x', other.ca.certPem, other.ca.keyPem)).certPem)
  t.notOk(foreign.verify(ca.publicKey), 'another cluster has another key')
})

t.test('both hosts have certificates of one CA', async (t) => {
  const { one, two } = await twoHosts(t)
  await t.rejects(two.caPem(), /ask on the host that admits others/)
  for (const host of [one, two]) {
    const { certPem, keyPem, caPem } = await host.certify(['web.local', '10.0.0.7', 'fd00::7'])
    const cert = new X509Certificate(certPem)
    t.match(cert.subjectAltName, /DNS:web\.local, IP Address:10\.0\.0\.7, IP Address:FD00:/)
    t.ok(cert.verify(new X509Certificate(await one.caPem()).publicKey))
    t.ok(new X509Certificate(caPem).verify(new X509Certificate(await one.caPem()).publicKey))
    t.match(keyPem, 'PRIVATE KEY')
    t.notOk(cert.ca)
    t.ok(Date.parse(cert.validTo) - Date.now() < 91 * 86_400_000)
  }
  t.match(await two.caPem(), 'CERTIFICATE', 'kept for flatnet ca')
})

t.test("a host's own certificate is kept, those of containers are not", async (t) => {
  const { two } = await twoHosts(t)
  await two.certify(['web'])
  t.equal(two.kept(), undefined)
  const { certPem, keyPem } = await two.certifyHost(['localhost'])
  t.same(two.kept(), { certPem, keyPem })
})

t.test('a host gets no certificate for what is not private, whatever it thinks itself', async (t) => {
  const { two } = await twoHosts(t, { domains: ['*.corp.example'] })
  for (const name of ['example.com', '8.8.8.8', '*.local'])
    await t.rejects(two.certify([name]), /host 1 refuses: ".*" is no private name: ingress\.domains/, name)
  await t.rejects(two.certify([]), /names must be 1 to 64/)
  await t.rejects(two.certify(Array.from({ length: 65 }, () => 'web')), /names must be 1 to 64/)
  t.match((await two.certify(['web.corp.example'])).certPem, 'CERTIFICATE', 'host 1 vouches for its domains')
})

t.test('a host that asks too often is refused for a minute', async (t) => {
  const { two } = await twoHosts(t)
  for (let i = 0; i < 60; i++) await two.certify(['web'])
  await t.rejects(two.certify(['web']), /host 1 refuses: too many certificates in a minute/)
})

t.test('without a link there is an error and no wait', async (t) => {
  const { two } = await twoHosts(t, { isLinked: false })
  await t.rejects(two.certify(['web']), /there is no link with host 1/)
})
