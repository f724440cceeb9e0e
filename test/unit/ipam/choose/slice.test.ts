/**
 * ipam/choose/slice.ts and overlaps.ts: which part of the supernet is a host's, and every reason to refuse a
 * configuration.
 */
import t from 'tap'
import { formatIpv4, formatPrefix, parseIpv4, parsePrefix4 } from '../../../../core/addr.ts'
import { overlapping } from '../../../../ipam/choose/overlaps.ts'
import { formatRange, refusalOf, sliceOf } from '../../../../ipam/choose/slice.ts'
import { slice, slice16, slice24 } from '../../../helpers/store/lease-host.ts'

const prefix = (text: string) => parsePrefix4(text)!

const good = [
  ['the default', '10.100.0.0/16', 24, 1, 10, '10.100.1.0/24', '10.100.1.1', '10.100.1.10-10.100.1.254'],
  [
    'the last host',
    '10.100.0.0/16',
    24,
    254,
    10,
    '10.100.254.0/24',
    '10.100.254.1',
    '10.100.254.10-10.100.254.254',
  ],
  ['65,536 addresses', '10.0.0.0/8', 16, 1, 10, '10.1.0.0/16', '10.1.0.1', '10.1.0.10-10.1.255.254'],
  ['a million addresses', '10.0.0.0/8', 12, 1, 10, '10.16.0.0/12', '10.16.0.1', '10.16.0.10-10.31.255.254'],
  [
    'a slice that starts amid a block',
    '10.100.0.0/24',
    29,
    3,
    2,
    '10.100.0.24/29',
    '10.100.0.25',
    '10.100.0.26-10.100.0.30',
  ],
  ['one container', '192.168.0.0/28', 30, 1, 2, '192.168.0.4/30', '192.168.0.5', '192.168.0.6-192.168.0.6'],
  ['two halves', '192.168.0.0/23', 24, 1, 10, '192.168.1.0/24', '192.168.1.1', '192.168.1.10-192.168.1.254'],
  [
    'the upper end of IPv4',
    '240.0.0.0/4',
    12,
    254,
    10,
    '255.224.0.0/12',
    '255.224.0.1',
    '255.224.0.10-255.239.255.254',
  ],
] as const

for (const [name, supernet, hostPrefix, hostId, firstOffset, own, bridge, range] of good) {
  t.test(`a slice: ${name}`, async (t) => {
    const made = slice(supernet, hostPrefix, firstOffset, hostId)
    t.equal(formatPrefix(made.prefix), own)
    t.equal(formatIpv4(made.bridge), bridge)
    t.equal(formatRange(made), range)
  })
}

const bad = [
  ['hostId 0', '10.100.0.0/16', 24, 0, 10, [/^ipam\.hostId is 0: must be 1 to 254/]],
  ['the last part of 256', '10.100.0.0/16', 24, 255, 10, [/^ipam\.hostId is 255: must be 1 to 254/]],
  ['a fraction', '10.100.0.0/16', 24, 1.5, 10, [/^ipam\.hostId is 1\.5/]],
  ['hostId of two halves', '192.168.0.0/23', 24, 2, 10, [/^ipam\.hostId is 2: must be 1 to 1/]],
  [
    'not smaller than the supernet',
    '10.100.0.0/16',
    16,
    1,
    10,
    [/^ipam\.hostPrefix is 16: must be 17 to 30/],
  ],
  ['no room for a container', '10.100.0.0/16', 31, 1, 2, [/^ipam\.hostPrefix is 31: must be 17 to 30/]],
  ['more than a million addresses', '10.0.0.0/8', 11, 1, 10, [/^ipam\.hostPrefix is 11: must be 12 to 30/]],
  [
    'a supernet that cannot be divided',
    '10.0.0.0/30',
    30,
    1,
    2,
    [/ipam\.supernet 10\.0\.0\.0\/30 is too small/],
  ],
  ['firstOffset on the bridge', '10.100.0.0/16', 24, 1, 1, [/^ipam\.firstOffset is 1: must be 2 to 254/]],
  [
    'firstOffset on the broadcast address',
    '10.100.0.0/16',
    24,
    1,
    255,
    [/^ipam\.firstOffset is 255: must be 2 to 254/],
  ],
  [
    'a slice too small for firstOffset',
    '10.100.0.0/16',
    29,
    1,
    10,
    [/^ipam\.firstOffset is 10: must be 2 to 6/],
  ],
  ['hostPrefix does not hide hostId', '10.100.0.0/16', 31, 0, 2, [/hostPrefix is 31/, /hostId is 0: /]],
  ['all at once', '10.100.0.0/16', 24, 300, 300, [/hostId is 300/, /firstOffset is 300/]],
] as const

for (const [name, supernet, hostPrefix, hostId, firstOffset, problems] of bad) {
  t.test(`no slice: ${name}`, async (t) => {
    const result = sliceOf({ supernet: prefix(supernet), hostPrefix, hostId, firstOffset })
    const found = result.ok ? [] : result.problems
    t.equal(found.length, problems.length, found.join('; '))
    for (const [i, problem] of problems.entries()) t.match(found[i], problem)
  })
}

/** [what the reader told, sizes, what is told beside it]; the supernet's length is 0 when it cannot be read. */
const beside = [
  ['supernet', { supernetLen: 0, hostId: 0 }, [/^ipam\.hostId is 0: must be 1 to 16777214$/]],
  ['supernet', { supernetLen: 0, hostId: 300 }, []],
  ['supernet', { supernetLen: 16, hostId: 300 }, [/^ipam\.hostId is 300: must be 1 to 254, /]],
  ['supernet', { supernetLen: 0, firstOffset: 255 }, [/^ipam\.firstOffset is 255: must be 2 to 254, /]],
  ['hostPrefix', { hostId: 0, firstOffset: 1 }, [/hostId is 0: must be 1 to 16382$/, /firstOffset is 1: /]],
  ['hostPrefix', { hostId: 300, firstOffset: 300 }, []],
  ['hostId', { hostId: 0, firstOffset: 1 }, [/^ipam\.firstOffset is 1: /]],
  ['hostId', { hostId: 0, hostPrefix: 16 }, [/^ipam\.hostPrefix is 16: /]],
] as const

t.test('a size that could not be read hides no other that is wrong, and makes none wrong', async (t) => {
  for (const [key, sizes, problems] of beside) {
    const config = { supernet: prefix('10.100.0.0/16'), hostPrefix: 24, hostId: 1, firstOffset: 10, ...sizes }
    const result = sliceOf(config, [`ipam.${key} is "x": must be something else`])
    t.equal(result.ok, false)
    const found = result.ok ? [] : result.problems
    t.equal(found.length, problems.length, found.join('; '))
    for (const [i, problem] of problems.entries()) t.match(found[i], problem)
  }
})

t.test('what may be asked for', async (t) => {
  const cases = [
    ['10.100.1.0', 'network address'],
    ['10.100.1.1', 'bridge address'],
    ['10.100.1.2', undefined],
    ['10.100.1.9', undefined],
    ['10.100.1.254', undefined],
    ['10.100.1.255', 'broadcast address'],
    ['10.100.2.10', 'outside'],
    ['192.168.0.1', 'outside'],
  ] as const
  for (const [ip, reason] of cases) {
    const refused = refusalOf(slice24, parseIpv4(ip)!)
    if (reason === undefined) t.equal(refused, undefined, `${ip} may`)
    else t.match(refused, reason, `${ip} may not`)
  }
  t.equal(
    refusalOf(slice16, parseIpv4('10.1.1.0')!),
    undefined,
    '.0 and .255 inside a big slice are addresses',
  )
  t.equal(refusalOf(slice16, parseIpv4('10.1.7.255')!), undefined)
})

t.test('networks that overlap', async (t) => {
  const known = [
    '10.0.0.0/8',
    '10.100.1.0/24',
    '10.100.1.128/25',
    '10.100.2.0/24',
    '10.100.0.0/24',
    '192.168.0.0/16',
  ].map((text) => ({ name: text, prefix: prefix(text) }))
  t.same(
    overlapping(prefix('10.100.1.0/24'), known).map(({ name }) => name),
    ['10.0.0.0/8', '10.100.1.0/24', '10.100.1.128/25'],
    'containing, equal and contained ones; not the neighbours',
  )
  t.same(overlapping(prefix('0.0.0.0/0'), known).length, known.length)
  t.same(overlapping(prefix('10.100.1.200/32'), []), [])
})
