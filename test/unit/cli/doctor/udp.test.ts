/** Doctor's judges of UDP: the direction that fails, the P2P process and its unit, and the path MTU. */
import t from 'tap'
import { judgeProcess, type ProcessFacts } from '../../../../cli/doctor/p2p-process.ts'
import { judgeMtu, type SmallPath } from '../../../../cli/doctor/udp-mtu.ts'
import { judgeReach } from '../../../../cli/doctor/udp-reach.ts'
import type { PathInfo } from '../../../../core/api.ts'

const NOW = Date.parse('2026-11-28T16:00:00.000Z')

const at = (msAgo: number | undefined): string | undefined =>
  msAgo === undefined ? undefined : new Date(NOW - msAgo).toISOString()

/** How long ago its last answer and its last probe came; undefined: none has. */
function path(hostId: number, answerMsAgo?: number, probeMsAgo?: number): PathInfo {
  const [answeredAt, receivedAt] = [at(answerMsAgo), at(probeMsAgo)]
  const probes = {
    sent: 40,
    answered: 9,
    received: 9,
    ...(answeredAt !== undefined && { answeredAt }),
    ...(receivedAt !== undefined && { receivedAt }),
  }
  const p2p = { reason: '', attempts: 1, generation: 1, probes }
  return { hostId, state: 'GATEWAY_FALLBACK', via: 'gateway', reason: '', since: '', p2p }
}
const reach = (...paths: PathInfo[]) => judgeReach({ paths, port: 7443, now: NOW })

t.test('UDP goes both ways', async (t) => {
  t.match(reach(path(2, 4_000, 3_000), path(3, 300, 900)), [
    { state: 'ok', what: 'UDP 7443 goes both ways with 2 hosts, the last datagram came 0.3 s ago' },
  ])
  t.same(reach(), [], 'nothing to say without a session')
})

t.test('the direction that fails', async (t) => {
  t.match(reach(path(2)), [{ state: 'warn', what: 'no UDP of host 2 arrives here', fix: /on both hosts/ }])
  t.match(reach(path(2, 36_000, 40_000)), [{ what: /no UDP of host 2/ }], 'what arrived once does not count')
  t.match(reach(path(2, 36_000, 1_000)), [{ what: /host 2 arrives here, and none from here/ }])
  t.match(reach(path(2, 1_000)), [{ what: /host 2 answers/, why: /admits answers alone/ }])
})

t.test('no host at all arrives: it is this host', async (t) => {
  t.match(reach(path(2), path(3)), [{ what: /which is every host/, fix: /in and out on this host/ }])
  const many = Array.from({ length: 200 }, (_, i) => path(i + 2))
  t.match(reach(...many, path(250, 9, 10)), [
    { what: 'no UDP of host 2, 3, 4, 5, 6 and 195 more arrives here' },
  ])
})

const process = { pid: 7, version: '0.2.0', port: 7443, offloads: { gso: true, gro: true, uso: false } }
const unit = { active: 'active', enabled: 'enabled' }
const judge = (part: Partial<ProcessFacts>) =>
  judgeProcess({ isWanted: true, process, version: '0.2.0', unit, ...part })

t.test('the P2P process and its unit', async (t) => {
  t.match(judge({}), [{ state: 'ok', what: 'the P2P process 0.2.0 runs, on UDP port 7443' }])
  t.match(judge({ unit: undefined }), [{ state: 'ok' }], 'no systemd')
  t.same(judge({ isWanted: false, process: null, unit: 'missing' }), [], 'off, or in no cluster')
  t.match(judge({ process: null }), [{ id: 'p2p-process', state: 'warn', fix: /log\/p2p\.log/ }])
  t.match(judge({ version: '0.3.0' }), [
    { id: 'p2p-process', what: /runs 0\.2\.0/, fix: /^systemctl restart/ },
  ])
  t.match(judge({ version: '0.3.0', unit: undefined }), [{ id: 'p2p-process', fix: /^kill 7;/ }])
  t.match(judge({ unit: 'missing' }), [{ id: 'p2p-unit', fix: /flatnet install/ }, { state: 'ok' }])
  t.match(judge({ unit: { active: 'failed', enabled: 'enabled' } })[0], {
    id: 'p2p-unit',
    fix: /^journalctl/,
  })
  t.match(judge({ unit: { active: 'inactive', enabled: 'disabled' } })[0], { fix: /^systemctl enable --now/ })
})

t.test('offloads', async (t) => {
  const offloads = { gso: false, gro: true, uso: true }
  t.match(judge({ process: { ...process, offloads } })[1], {
    id: 'p2p-offloads',
    what: /when sending \(GSO\)$/,
  })
  const none = { gso: false, gro: false, uso: false }
  t.match(judge({ process: { ...process, offloads: none } })[1], { what: /sending \(GSO\) and receiving/ })
})

t.test('path MTU', async (t) => {
  const small: SmallPath = { hostId: 2, address: '192.0.2.2', mtu: 1_280, dev: 'eth0', devMtu: 1_500 }
  t.match(judgeMtu([small]), [
    { id: 'udp-mtu', what: /up to 1280 bytes, and eth0 sends 1500/, fix: /-s 1252 works/ },
  ])
  t.same(judgeMtu([{ ...small, devMtu: 1_280 }]), [], 'the interface says so itself')
  t.same(judgeMtu([{ ...small, mtu: 1_500, devMtu: 9_000 }]), [], 'jumbo frames end at the switch')
})
