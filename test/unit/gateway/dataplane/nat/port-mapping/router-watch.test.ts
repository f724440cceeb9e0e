/** gateway/dataplane/nat/port-mapping/router-watch: when a router's count means that it was started anew. */
import t from 'tap'
import { ssdpNews } from '../../../../../../gateway/dataplane/nat/port-mapping/announcements.ts'
import { decodeEpoch } from '../../../../../../gateway/dataplane/nat/port-mapping/nat-pmp.ts'
import {
  decodePcpEpoch,
  encodePcpAnnounce,
} from '../../../../../../gateway/dataplane/nat/port-mapping/pcp.ts'
import { isAnew } from '../../../../../../gateway/dataplane/nat/port-mapping/router-watch.ts'

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replaceAll(/\s/g, ''))

for (const [name, here, there, expected] of [
  ['both clocks go on alike', 120, 120, false],
  ['nothing but rounding', 0, -1, false],
  ['the router counts a little slower', 120, 112, false],
  ['the router counts a little faster', 120, 128, false],
  ['it began again', 120, -5_000, true],
  ['it began again a moment ago, and counts from 0', 120, -1_000, true],
  ['it began again long ago, and has counted further than before', 7_200, 3_000, true],
  ['it jumped ahead: its clock is another one', 120, 5_000, true],
] as const)
  t.test(`${name}: ${expected ? 'anew' : 'the same'}`, async (t) => {
    const before = { seconds: 10_000, at: 5_000 }
    t.equal(isAnew(before, { seconds: 10_000 + there, at: 5_000 + here * 1_000 }), expected)
  })

t.test('PCP: an ANNOUNCE, and what answers it', async (t) => {
  const request = encodePcpAnnounce('192.168.1.2')
  t.same(request, hex('02 00 0000 00000000 00000000 00000000 0000ffff c0a80102'))
  t.throws(() => encodePcpAnnounce('fe80::1'), RangeError)
  const answer = hex('02 80 00 00 00000000 00000e10 00000000 00000000 00000000')
  t.same(decodePcpEpoch(answer), { seconds: 3_600 })
  t.same(decodePcpEpoch(hex('02 80 00 04 00000000 00000e10 00000000 00000000 00000000')), { seconds: 3_600 })
  t.equal(decodePcpEpoch(request), undefined, 'a request that comes back')
  t.equal(
    decodePcpEpoch(hex('02 81 00 00 00000000 00000e10 00000000 00000000 00000000')),
    undefined,
    'of MAP',
  )
  for (let length = 0; length < answer.byteLength; length++)
    t.equal(decodePcpEpoch(answer.subarray(0, length)), undefined, `cut to ${length} bytes`)
})

t.test('NAT-PMP: seconds of the answer about the address, also when it has none', async (t) => {
  t.same(decodeEpoch(hex('00 80 0000 00000e10 cb007105')), { seconds: 3_600 })
  t.same(decodeEpoch(hex('00 80 0003 00000e10 00000000')), { seconds: 3_600 })
  t.equal(decodeEpoch(hex('00 81 0000 00000e10 cb007105')), undefined)
  t.equal(decodeEpoch(hex('00 80 0000 000000')), undefined)
})

const notify = (nts: string, bootId?: number): Buffer => {
  const lines = ['NOTIFY * HTTP/1.1', 'HOST: 239.255.255.250:1900', `NTS: ${nts}`]
  if (bootId !== undefined) lines.push(`BootID.UPnP.org: ${bootId}`)
  return Buffer.from([...lines, '', ''].join('\r\n'))
}

t.test('SSDP: each start of a router is news once', async (t) => {
  const isNews = ssdpNews()
  t.ok(isNews(notify('ssdp:alive', 7)), 'whether it is the first one is not known')
  t.notOk(isNews(notify('ssdp:alive', 7)))
  t.ok(isNews(notify('ssdp:alive', 8)))
  t.ok(isNews(notify('ssdp:byebye', 8)))
  t.ok(isNews(notify('ssdp:alive', 8)), 'it is back')
  t.notOk(isNews(notify('ssdp:alive', 8)))
  t.notOk(isNews(Buffer.from('M-SEARCH * HTTP/1.1\r\nBOOTID.UPNP.ORG: 9\r\n\r\n')), 'of a host')
  t.notOk(isNews(Buffer.alloc(0)))
})

t.test('SSDP: a device of version 1.0 says no number, so each of its announcements is news', async (t) => {
  const isNews = ssdpNews()
  for (let i = 0; i < 3; i++) t.ok(isNews(notify('ssdp:alive')))
})
