/** gateway/dataplane/nebula/reports: what of Nebula's words is kept, for how long, and what is logged. */

import t from 'tap'
import { type Log, silentLog } from '../../../../../core/log.ts'
import { NebulaReports } from '../../../../../gateway/dataplane/nebula/reports.ts'
import { SimTime } from '../../../../helpers/sim/network.ts'

function reporting(hostId = 2) {
  const time = new SimTime()
  const logged: string[] = []
  const keep = (fields: unknown, message: string): void => {
    const { endpoint, reason } = fields as { endpoint?: string; reason?: string }
    logged.push(`${message}: ${endpoint ?? reason}`)
  }
  const log: Log = { ...silentLog, warn: keep, info: keep }
  const nebula = {
    port: 4_242,
    network: { base: 0x0a650000, prefixLen: 16 },
    lighthouses: new Map([[0x0a650001, ['192.0.2.1:4242']]]),
  }
  const scheduler = time.scheduler(() => 0)
  return { time, logged, reports: new NebulaReports({ scheduler, log, hostId, nebula }) }
}

const handshake = (what: string, address: string): string =>
  `level=info msg="Handshake ${what}" vpnIp=${address}`

t.test('a lighthouse', (t) => {
  const { logged, reports } = reporting()
  const state = (): string | undefined => reports.lighthouses[0]?.state
  t.same(reports.lighthouses, [{ address: '10.101.0.1', state: 'unknown' }])
  reports.said(handshake('timed out', '10.101.0.9'))
  t.equal(state(), 'unknown', 'that was another host')
  for (let i = 0; i < 3; i++) reports.said(handshake('timed out', '10.101.0.1'))
  t.equal(state(), 'silent')
  t.same(logged, ['lighthouse of nebula does not answer: 10.101.0.1'], 'said once')
  reports.said(handshake('message received', '10.101.0.1'))
  t.equal(state(), 'answers')
  t.equal(logged.at(-1), 'lighthouse of nebula answers again: 10.101.0.1')
  reports.started()
  t.equal(state(), 'unknown')
  reports.said(handshake('message received', '10.101.0.1'))
  t.equal(logged.length, 2, 'an answer at first is no news')
  t.same(reporting(1).reports.lighthouses, [], 'a lighthouse asks no other')
  t.end()
})

t.test('a complaint is shown for two minutes, and logged at a bounded rate', (t) => {
  const { logged, reports, time } = reporting()
  const line = 'level=error msg="Failed to open udp listener" error="bind: address already in use"'
  t.equal(reports.complaint, undefined)
  reports.said('level=info msg=Goodbye')
  t.equal(reports.complaint, undefined)
  for (let i = 0; i < 100; i++) reports.said(line)
  t.match(reports.complaint, /^another program has UDP port 4242/)
  t.equal(logged.length, 20)
  t.equal(logged[0], 'nebula reported: Failed to open udp listener: bind: address already in use')
  time.run(120_001)
  t.equal(reports.complaint, undefined)
  reports.said(line)
  reports.started()
  t.equal(reports.complaint, undefined, 'of the process before')
  t.end()
})
