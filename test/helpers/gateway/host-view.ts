/** An element of `GET /v1/hosts`: a member that is linked and well, unless told otherwise. */
import type { HostView } from '../../../gateway/api/host-view.ts'

export const hostView = (hostId: number, part: Partial<HostView> = {}): HostView => ({
  hostId,
  version: { epoch: 1, seq: 1 },
  assignments: 0,
  path: null,
  state: null,
  since: null,
  quarantine: null,
  alarms: [],
  member: {
    keyId: 'ab'.repeat(32),
    formerKeys: [],
    name: `h${hostId}`,
    endpoints: [`192.0.2.${hostId}:7443`],
    admits: hostId === 1,
    state: 'active',
    joinedAt: '2026-11-20T12:00:00.000Z',
    changedAt: '2026-11-20T12:00:00.000Z',
    slice: `10.100.${hostId}.0/24`,
  },
  link: { hostId, state: 'up', reason: 'connected', rttMs: 1, hasData: true, since: 0 },
  ...part,
})
