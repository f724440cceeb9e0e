/** core/attachment.ts: the names of an attachment, which DEL and a lost store rely on. */
import fc from 'fast-check'
import t from 'tap'
import {
  type Attachment,
  attachmentHash,
  attachmentKey,
  formatAlias,
  hostIfname,
  isIfname,
  isName,
  MAX_CONTAINER_ID_BYTES,
  MAX_NETWORK_BYTES,
  NAME_RE,
  parseAlias,
  sameAttachment,
} from '../../../core/attachment.ts'

const chars = fc.constantFrom(...'abcXYZ019_.-')
const nameOf = (max: number) =>
  fc.tuple(fc.constantFrom(...'aZ09'), fc.string({ unit: chars, maxLength: max - 1 })).map(([a, b]) => a + b)
const ifname = fc.string({ minLength: 1, maxLength: 15 }).filter(isIfname)
const attachment: fc.Arbitrary<Attachment> = fc.record({
  network: nameOf(MAX_NETWORK_BYTES),
  containerId: nameOf(MAX_CONTAINER_ID_BYTES),
  ifname,
})
/** include/uapi/linux/if.h: IFNAMSIZ 16, IFALIASZ 256, each with its NUL. */
const IFNAME_MAX = 15
const IFALIAS_MAX = 255

t.test('an alias gives back the attachment and the address it was made of', async () => {
  fc.assert(
    fc.property(attachment, (a) => {
      const parsed = parseAlias(formatAlias(a, '10.100.1.10/24'))
      return parsed !== undefined && sameAttachment(parsed.attachment, a) && parsed.cidr === '10.100.1.10/24'
    }),
  )
})

t.test('the longest names still fit into what the kernel keeps', async (t) => {
  const longest = {
    network: 'n'.repeat(MAX_NETWORK_BYTES),
    containerId: 'c'.repeat(MAX_CONTAINER_ID_BYTES),
    ifname: 'i'.repeat(15),
  }
  t.ok(Buffer.byteLength(formatAlias(longest, '255.255.255.255/32')) <= IFALIAS_MAX)
  fc.assert(fc.property(attachment, (a) => Buffer.byteLength(hostIfname(a)) <= IFNAME_MAX))
  fc.assert(fc.property(attachment, (a) => /^fn[0-9a-f]{10}$/.test(hostIfname(a))))
})

t.test('an alias that another program wrote is not read', async (t) => {
  for (const alias of [
    '',
    'flatnet',
    'flatnet a b c',
    'flatnet a b c 1.1.1.1/24 x',
    'docker a b c d',
    'flatnet  b c d',
  ])
    t.equal(parseAlias(alias), undefined, JSON.stringify(alias))
  fc.assert(fc.property(fc.string(), (text) => text.startsWith('flatnet ') || parseAlias(text) === undefined))
})

t.test('the hash is stable: DEL of a later release finds the link of an earlier one', async (t) => {
  t.equal(hostIfname({ network: 'flatnet', containerId: 'c1', ifname: 'eth0' }), 'fn6cc28baf5b')
})

t.test('attachments that differ in one character have different hashes', async (t) => {
  const made = new Map<string, string>()
  for (const network of ['flatnet', 'flatnes'])
    for (let i = 0; i < 5_000; i++)
      for (const ifname of ['eth0', 'eth1']) {
        const a = { network, containerId: `container-${i}`, ifname }
        made.set(attachmentHash(a), attachmentKey(a))
      }
  t.equal(made.size, 20_000, '20,000 of 2^40: one collision is expected every 5,500 such runs')
  const first = new Set([...made.keys()].map((hash) => hash.slice(0, 2)))
  t.equal(first.size, 256, 'and the first digits are spread: interface names are told apart at a glance')
})

t.test('keys tell every two attachments apart: no name may hold the separator', async (t) => {
  fc.assert(
    fc.property(
      attachment,
      attachment,
      (a, b) => sameAttachment(a, b) === (attachmentKey(a) === attachmentKey(b)),
    ),
  )
  for (const name of ['', '-a', '.a', 'a/b', 'a b', 'a\n', 'ä', 'a:b'])
    t.notMatch(name, NAME_RE, JSON.stringify(name))
})

t.test('interface names are those that the kernel and the CNI skeleton take', async (t) => {
  for (const name of ['eth0', 'a', 'x'.repeat(15), 'eth0.100', 'ä']) t.ok(isIfname(name), name)
  for (const name of [
    '',
    '.',
    '..',
    'a/b',
    'a:b',
    'a b',
    'a\tb',
    'a\n',
    'x'.repeat(16),
    'ä'.repeat(8),
    'eth%d',
    'all',
    'default',
  ])
    t.notOk(isIfname(name), JSON.stringify(name))
})

t.test('the quick test for names says what the expression says', async (t) => {
  const text = fc.string({ unit: fc.constantFrom(...'aZ09_.-/: ä\n'), maxLength: 5 })
  t.doesNotThrow(() => fc.assert(fc.property(text, (name) => isName(name) === NAME_RE.test(name))))
})
