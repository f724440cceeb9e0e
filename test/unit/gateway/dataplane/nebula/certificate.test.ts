/** gateway/dataplane/nebula/certificate: what nebula-cert prints, and which certificates would not do. */

import t from 'tap'
import {
  certificateProblem,
  expiryOf,
  type NebulaCertificate,
  parseCertificates,
} from '../../../../../gateway/dataplane/nebula/certificate.ts'

const OF_1_6 =
  '{"details":{"groups":["flatnet"],"ips":["10.101.0.1/16"],"isCa":false,"issuer":"84a2","name":"h1","notAfter":"2026-12-03T15:17:48Z","notBefore":"2026-11-29T11:17:51Z","publicKey":"5339","subnets":["10.100.1.0/24"]},"fingerprint":"a5d9","signature":"dccd"}'
const OF_1_11 =
  '[{"curve":"CURVE25519","details":{"groups":["flatnet"],"isCa":false,"issuer":"84a2","name":"h1","networks":["10.101.0.1/16"],"notAfter":"2026-12-03T15:17:48Z","notBefore":"2026-11-29T11:17:51Z","unsafeNetworks":["10.100.1.0/24"]},"fingerprint":"a5d9","publicKey":"b2aa","signature":"2b4c","version":2}]'
const [FROM, TO] = [Date.parse('2026-11-29T11:17:51Z'), Date.parse('2026-12-03T15:17:48Z')]

const host: NebulaCertificate = {
  name: 'h1',
  fingerprint: 'a5d9',
  issuer: '84a2',
  groups: ['flatnet'],
  networks: ['10.101.0.1/16'],
  slices: ['10.100.1.0/24'],
  validFrom: FROM,
  validTo: TO,
}
const ca: NebulaCertificate = {
  ...host,
  name: 'flatnet',
  fingerprint: '84a2',
  issuer: '',
  networks: ['10.101.0.0/16'],
  slices: ['10.100.0.0/16'],
  validTo: TO + 1_000,
}

t.test('what releases print', (t) => {
  t.same(parseCertificates(`${OF_1_6}\n`), [host], '1.6.1, version 1')
  t.same(parseCertificates(`${OF_1_11}\n`), [host], '1.11.0, version 2')
  t.same(parseCertificates(`${OF_1_6}\n${OF_1_6}\n`), [host, host], 'a file with two, a line each')
  t.same(parseCertificates('Unable to read cert; open ca.crt: no such file\n{"details":3}\n'), [])
  t.end()
})

const slot = {
  hostId: 1,
  network: { base: 0x0a650000, prefixLen: 16 },
  supernet: { base: 0x0a640000, prefixLen: 16 },
  hostPrefix: 24,
}
const judged = (change: Partial<NebulaCertificate>, now = FROM, cas: readonly NebulaCertificate[] = [ca]) =>
  certificateProblem({ ...slot, cas, host: [{ ...host, ...change }], now })

t.test('the right one', (t) => {
  t.equal(judged({}), undefined)
  t.equal(judged({ slices: ['192.168.0.0/24', '10.100.0.0/16'] }), undefined, 'a wider slice')
  t.equal(judged({}, FROM, [{ ...ca, fingerprint: 'old' }, ca]), undefined, 'one of two CAs')
  t.equal(expiryOf({ cas: [ca], host: [host] }), TO)
  t.equal(expiryOf({ cas: [{ ...ca, validTo: TO - 5 }], host: [host] }), TO - 5, 'the CA ends sooner')
  t.end()
})

t.test('what is wrong, and what to do', (t) => {
  const cases: [name: string, found: ReturnType<typeof judged>, what: RegExp, fix: RegExp][] = [
    ['expired', judged({}, TO + 1), /^host\.crt expired on 2026-12-03 15:17 UTC$/, /flatnet nebula host/],
    [
      'not yet valid',
      judged({}, FROM - 60_000),
      /^host\.crt is valid from 2026-11-29 11:17 UTC on, and this host's clock says 2026-11-29 11:16 UTC$/,
      /set this host's clock/,
    ],
    [
      'the CA expired',
      judged({}, FROM, [{ ...ca, validTo: FROM - 1 }]),
      /^ca\.crt expired on/,
      /flatnet nebula ca/,
    ],
    [
      'another CA',
      judged({ issuer: 'ffff' }),
      /^host\.crt is signed by a CA that is not in ca\.crt, which is of "flatnet"$/,
      /copy the ca\.crt/,
    ],
    ['no CA', judged({}, FROM, []), /not in ca\.crt, which holds none/, /copy the ca\.crt/],
    [
      'no slice',
      judged({ slices: [] }),
      /^host\.crt lacks the slice of this host, 10\.100\.1\.0\/24 \(it has none\)$/,
      /flatnet nebula host/,
    ],
    ["another host's slice", judged({ slices: ['10.100.2.0/24'] }), /\(it has 10\.100\.2\.0\/24\)/, /./],
    ['half of it', judged({ slices: ['10.100.1.0/25'] }), /lacks the slice/, /./],
    [
      "another host's address",
      judged({ networks: ['10.101.0.2/16'] }),
      /^host\.crt is for 10\.101\.0\.2\/16, and this host is 10\.101\.0\.1 inside Nebula$/,
      /./,
    ],
    ['no group', judged({ groups: ['web'] }), /lacks the group "flatnet"/, /./],
    [
      'no certificate',
      certificateProblem({ ...slot, cas: [ca], host: [], now: FROM }),
      /^host\.crt holds no certificate$/,
      /./,
    ],
  ]
  for (const [name, found, what, fix] of cases) t.match(found, { what, fix }, name)
  t.end()
})
