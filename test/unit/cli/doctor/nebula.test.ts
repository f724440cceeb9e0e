/** cli/doctor/nebula: what is worth a warning of a host that uses Nebula, and the way out of each. */

import t from 'tap'
import { judgeNebula, type NebulaFacts } from '../../../../cli/doctor/nebula.ts'
import { daemonConf } from '../../../../conf/daemon.ts'

const now = Date.parse('2026-11-29T12:00:00Z')
const conf = daemonConf({ hostId: 1, paths: { nebula: { enabled: true } } })
const own = {
  name: 'host-1',
  fingerprint: 'b',
  issuer: 'a',
  groups: ['flatnet'],
  networks: ['10.101.0.1/16'],
  slices: ['10.100.1.0/24'],
  validFrom: now - 1,
  validTo: Date.parse('2036-11-26T00:00:00Z'),
}
const ca = { ...own, name: 'flatnet', fingerprint: 'a', issuer: '' }
const status = {
  device: 'flatnet-nebula',
  version: '1.6.1',
  pid: 7,
  problem: null,
  validTo: null,
  lighthouses: [],
  complaint: null,
}
const well: NebulaFacts = {
  conf,
  programs: { nebula: 'Version: 1.6.1\n', 'nebula-cert': 'Version: 1.6.1\n' },
  certificates: { cas: [ca], host: [own] },
  status,
  users: 2,
  now,
}
const of = (change: Partial<NebulaFacts>, id: string) =>
  judgeNebula({ ...well, ...change }).filter((finding) => finding.id === id)

t.test('all is well, or Nebula is not used', async (t) => {
  t.strictSame(
    judgeNebula({
      ...well,
      status: { ...status, lighthouses: [{ address: '10.101.0.3', state: 'answers' }] },
    }).map(({ state, what }) => `${state} ${what}`),
    [
      'ok nebula 1.6.1 is installed',
      "ok Nebula's certificate for 10.101.0.1/16 and slice 10.100.1.0/24 is valid until 2036-11-26",
      'ok flatnet-nebula is up and carries to 2 hosts',
      'ok lighthouse 10.101.0.3 answers',
    ],
  )
  t.same(judgeNebula({ ...well, conf: undefined }), [])
})

t.test('the program', async (t) => {
  const program = (nebula: string | undefined) =>
    of({ programs: { ...well.programs, nebula } }, 'nebula-program')
  t.match(program(undefined), [
    { state: 'warn', what: 'nebula is not installed', fix: 'apt-get install nebula' },
  ])
  t.match(program(''), [{ state: 'warn', what: 'nebula may not be executed', fix: /chmod 755/ }])
  t.match(program('Version: 1.4.0\n'), [{ state: 'warn', what: /1\.4\.0 is too old/ }])
})

t.test('certificates', async (t) => {
  const certificate = (change: Partial<typeof own>) =>
    of({ certificates: { cas: [ca], host: [{ ...own, ...change }] } }, 'nebula-certificate')
  t.match(certificate({ validTo: now - 1 }), [
    { state: 'warn', what: /^host\.crt expired on/, fix: /nebula host/ },
  ])
  t.match(certificate({ slices: [] }), [{ state: 'warn', what: /lacks the slice of this host/ }])
  t.match(certificate({ validTo: now + 86_400_000 }), [
    {
      state: 'warn',
      what: /is valid until 2026-11-30/,
      why: /nothing renews it/,
      fix: /flatnet nebula host/,
    },
  ])
  t.same(of({ certificates: undefined }, 'nebula-certificate'), [], 'not root, or none: the device says it')
})

t.test('device, complaints and lighthouses', async (t) => {
  const said = (change: object, id: string) => of({ status: { ...status, ...change } }, id)
  t.match(said({ problem: 'ended: exit code 1' }, 'nebula-device'), [
    { state: 'warn', what: 'Nebula: ended: exit code 1' },
  ])
  t.match(said({ complaint: 'another program has UDP port 4242' }, 'nebula-complaint'), [
    { state: 'warn', what: 'Nebula: another program has UDP port 4242' },
  ])
  const lighthouses = [
    { address: '10.101.0.3', state: 'answers' },
    { address: '10.101.0.4', state: 'silent' },
  ]
  t.match(said({ lighthouses }, 'nebula-lighthouse'), [
    { state: 'warn', what: '1 lighthouse of Nebula gave no answer: 10.101.0.4', fix: /UDP 4242/ },
  ])
  t.same(
    of({ status: undefined }, 'nebula-device'),
    [],
    'the gateway does not answer, which another check says',
  )
})

t.test('a Nebula of their own has its own program, certificates and lighthouses', async (t) => {
  const foreign = daemonConf({ hostId: 1, paths: { nebula: { enabled: true, device: 'nebula1' } } })
  t.match(
    judgeNebula({ ...well, conf: foreign, programs: { nebula: undefined, 'nebula-cert': undefined } }),
    [{ id: 'nebula-device', state: 'ok' }],
  )
})
