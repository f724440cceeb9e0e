/** Doctor's judge of direct paths: one row for each kind of cause, and what of the kernel is in the way. */
import t from 'tap'
import { type DirectFacts, judgeDirect } from '../../../../cli/doctor/direct.ts'
import type { PathInfo } from '../../../../core/api.ts'
import { type P2pReason, peerText, reasonText } from '../../../../gateway/paths/escalation/reasons.ts'

const path = (
  hostId: number,
  reason: P2pReason,
  state: PathInfo['state'] = 'GATEWAY_FALLBACK',
): PathInfo => ({
  hostId,
  state,
  via: state === 'P2P_ACTIVE' ? 'p2p' : 'gateway',
  reason: '',
  since: '',
  p2p: { reason: reasonText(reason), attempts: 1, generation: 1 },
})
const facts = (part: Partial<DirectFacts>): DirectFacts => ({
  paths: [],
  rpFilter: 2,
  ...part,
})

type Row = readonly [name: string, reason: P2pReason, fix: RegExp | undefined]
const rows: readonly Row[] = [
  ['blocked, which udp-reach says', { code: 'no probe answered' }, undefined],
  ['path MTU', { code: 'full size lost' }, /ping -M do/],
  ['no process', { code: 'no process', detail: 'ENOENT' }, /flatnet-p2p/],
  ['no device', { code: 'no device', detail: 'EBUSY' }, /modprobe tun/],
  ['no port', { code: 'no UDP', detail: 'EADDRINUSE' }, /ss -ulpn/],
  ['broken there', { code: 'refused', detail: peerText('no UDP') }, /flatnet doctor on that host/],
  ['off there', { code: 'refused', detail: peerText('off') }, undefined],
  ['an old version', { code: 'no word' }, /one version/],
  ['slower', { code: 'slower', detail: '85 ms against 5 ms' }, /mtr -u/],
  ['off', { code: 'off' }, undefined],
  ['under way', { code: 'proving' }, undefined],
]

t.test('why paths are not direct', async (t) => {
  for (const [name, reason, fix] of rows) {
    const found = judgeDirect(facts({ paths: [path(2, reason)] }))
    t.equal(found.length, fix === undefined ? 0 : 1, name)
    if (fix !== undefined) t.match(found[0], { id: 'direct-paths', state: 'warn', fix }, name)
  }
})

t.test('one line for each kind of cause, not for each host', async (t) => {
  const blocked = Array.from({ length: 200 }, (_, i) => path(i + 2, { code: 'slower' }))
  const [finding, ...others] = judgeDirect(facts({ paths: blocked }))
  t.same(others, [])
  t.match(finding?.what, /^not direct: host 2: .*host 6: .* and 195 more$/)
})

t.test('all is well', async (t) => {
  const paths = [path(2, { code: 'proven' }, 'P2P_ACTIVE')]
  t.match(judgeDirect(facts({ paths })), [{ state: 'ok', what: '1 of 1 other host reached directly by UDP' }])
  t.same(judgeDirect(facts({})), [])
})

t.test('the kernel', async (t) => {
  t.match(judgeDirect(facts({ rpFilter: 1 })), [{ id: 'direct-rp-filter', fix: /rp_filter=2/ }])
  t.same(judgeDirect(facts({ rpFilter: undefined })), [])
})
