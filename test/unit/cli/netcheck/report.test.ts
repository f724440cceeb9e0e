/** cli/netcheck/report: what a person reads of each outcome. */
import t from 'tap'
import { type Found, mappingText, outlook, printFound } from '../../../../cli/netcheck/report.ts'

const found = (part: Partial<Found> = {}): Found => ({
  udp: true,
  ipv4: ['203.0.113.1:5'],
  ipv6: [],
  behindNat: true,
  members: [{ hostId: 2, name: 'two', server: '192.0.2.2:7443', rttMs: 3.21, mapped: '203.0.113.1:5' }],
  servers: [],
  best: { name: 'two', rttMs: 3.21 },
  portMapping: { reason: 'PCP: no answer', router: '192.168.1.1', isDenied: false },
  direct: 0,
  ...part,
})

t.test('what each outcome comes to', async (t) => {
  const independent = 'endpoint-independent'
  const mapped = { protocol: 'pcp', external: '203.0.113.5:7443', until: '2026-11-29T09:00:00.000Z' } as const
  for (const [part, words] of [
    [{ udp: false }, /^Without UDP this host is reached by the gateways/],
    [{ udp: false, direct: 2 }, /^UDP carries packets from here, so it works.*paths\.stun/],
    [{ portMapping: mapped, mapping: 'dependent' }, /port mapping become direct with every host/],
    [{ behindNat: false }, /without a NAT become direct with every host/],
    [{ mapping: independent, filtering: 'address-dependent' }, /such NATs become direct with every host/],
    [
      { mapping: independent, filtering: 'address-and-port-dependent' },
      /with all but those behind symmetric NATs; those go through a hub/,
    ],
    [{ mapping: independent }, /with these too if it filters by address alone/],
    [{}, /unless one of the NATs is symmetric/],
    [
      { mapping: 'dependent' },
      /cone, address-restricted.*A port mapping at the router of either host solves this/,
    ],
  ] as const)
    t.match(outlook(found(part)), words)
})

t.test('the port mapping', async (t) => {
  const now = Date.parse('2026-11-29T08:00:00.000Z')
  const held = {
    protocol: 'nat-pmp',
    external: '203.0.113.5:7443',
    until: '2026-11-29T08:30:20.000Z',
    router: '192.168.1.1',
  } as const
  t.equal(
    mappingText(held, now),
    '203.0.113.5:7443 by NAT-PMP at router 192.168.1.1, for 30 min, renewed before that',
  )
  t.match(mappingText({ ...held, reason: 'NAT-PMP: no answer' }, now), /, not renewed: NAT-PMP: no answer$/)
  t.equal(mappingText({ reason: 'switched off' }, now), 'none: switched off')
  t.equal(
    mappingText({ reason: 'PCP: no answer', router: '192.168.1.1' }, now),
    'none: router 192.168.1.1, PCP: no answer',
  )
  t.equal(mappingText(null, now), 'none: this host is in no cluster')
})

t.test('a whole report', async (t) => {
  let text = ''
  const stdout = { write: (chunk: string) => (text += chunk) }
  const io = { stdout, stderr: stdout } as unknown as Parameters<typeof printFound>[0]
  const servers = [{ name: 'stun.example:3478' }]
  printFound(io, found({ servers, mapping: 'dependent', hairpin: false }))
  for (const line of [
    /^udp +works; two answers soonest, in 3\.2 ms$/m,
    /^mapping +another mapping for each destination \(symmetric\)$/m,
    /^filtering +unknown: needs a STUN server with two addresses/m,
    /^hairpin +does not work$/m,
    /^port mapping +none: router 192\.168\.1\.1, PCP: no answer$/m,
    /^2 +two +3\.2 ms +192\.0\.2\.2:7443 +203\.0\.113\.1:5$/m,
    /^ +stun\.example:3478 +no answer/m,
    /^Hosts behind such NATs become direct with/m,
  ])
    t.match(text, line)
  text = ''
  printFound(io, found({ udp: false, ipv4: [], behindNat: undefined, members: [], best: undefined }))
  t.match(text, /^udp +unknown: there is no other member, so paths\.stun or --server has to name/m)
})
