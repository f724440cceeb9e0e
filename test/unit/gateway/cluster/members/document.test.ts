/** gateway/cluster/document: what may follow a list of members, what comes of two that part, and numbers given once. */
import fc from 'fast-check'
import t from 'tap'
import {
  freeHostId,
  type MemberRecord,
  type MemberState,
  type MembersDocument,
  maxHostId,
  memberOf,
  merge,
  notSuccessor,
  seal,
  unseal,
  withMembers,
} from '../../../../../gateway/cluster/members/document.ts'
import { testCluster } from '../../../../helpers/cluster/cluster.ts'

const AT = '2026-11-20T12:00:00.000Z'

const member = (hostId: number, part: Partial<MemberRecord> = {}): MemberRecord => ({
  hostId,
  keyId: `key ${hostId}`,
  formerKeys: [],
  name: `h${hostId}`,
  endpoints: [],
  admits: hostId === 1,
  state: 'active',
  joinedAt: AT,
  changedAt: AT,
  ...part,
})

const base: MembersDocument = {
  cluster: 'testing',
  version: 5,
  supernet: '10.100.0.0/16',
  hostPrefix: 24,
  members: [member(1), member(2), member(3, { state: 'revoked' }), member(4, { state: 'left' })],
}

t.test('what follows', async (t) => {
  const follows = (next: MembersDocument): string | undefined => notSuccessor(base, next)
  t.equal(follows(withMembers(base, member(5))), undefined, 'a new member')
  t.equal(follows(withMembers(base, member(2, { state: 'revoked' }))), undefined, 'a revocation')
  t.equal(follows(withMembers(base, member(4, { state: 'revoked' }))), undefined, 'of one that left, too')
  const replaced = member(3, { keyId: 'new', formerKeys: ['key 3'] })
  t.equal(follows(withMembers(base, replaced)), undefined, 'another machine with the number of a revoked one')
})

t.test('what does not follow, also with a good signature', async (t) => {
  const cases: readonly (readonly [string, MembersDocument, RegExp])[] = [
    ['the same again', base, /version 5 is not above 5/],
    ['an older one', { ...withMembers(base, member(5)), version: 4 }, /version 4 is not above 5/],
    [
      'a revoked key active again',
      withMembers(base, member(3)),
      /host 3 is revoked and cannot become active/,
    ],
    ['one that left, back', withMembers(base, member(4)), /host 4 is left and cannot become active/],
    ['another key', withMembers(base, member(2, { keyId: 'new' })), /another key holds host 2/],
    ['a member missing', { ...base, version: 6, members: base.members.slice(1) }, /host 1 is missing/],
    ['another cluster', { ...withMembers(base), cluster: 'other' }, /another cluster/],
    ['another supernet', { ...withMembers(base), supernet: '10.101.0.0/16' }, /another supernet/],
    [
      'a revoked key for the new machine',
      withMembers(base, member(2, { formerKeys: ['key 2'] })),
      /a revoked key/,
    ],
  ]
  for (const [name, next, reason] of cases) t.match(notSuccessor(base, next), reason, name)
  const replaced = withMembers(base, member(2, { keyId: 'new', formerKeys: ['key 2'] }))
  const forgotten = withMembers(replaced, member(2, { keyId: 'newer', formerKeys: ['new'] }))
  t.match(notSuccessor(replaced, forgotten), /has forgotten that a key of host 2/)
})

t.test('the signature', async (t) => {
  const { ca } = await testCluster()
  const sealed = seal(base, ca.keyPem)
  t.same(unseal(sealed, ca.certPem, 'testing'), base)
  t.throws(
    () => unseal({ ...sealed, text: sealed.text.replace('revoked', 'active') }, ca.certPem),
    /not signed/,
  )
  t.throws(() => unseal(sealed, ca.certPem, 'other'), /another cluster/)
  const other = await testCluster('testing')
  t.throws(() => unseal(sealed, other.ca.certPem), /not signed/, 'a CA of the same name')
  for (const bad of [undefined, null, 'x', {}, { text: 1, signature: 2 }]) {
    t.throws(() => unseal(bad, ca.certPem), /no sealed list/)
  }
  const twice = { ...base, members: [member(2), member(2)] }
  for (const bad of [{}, { ...base, version: 0 }, { ...base, supernet: 'x' }, twice]) {
    t.throws(() => unseal(seal(bad as MembersDocument, ca.keyPem), ca.certPem), /not a list of members/)
  }
})

t.test('numbers', async (t) => {
  t.equal(freeHostId(base, 254), 5, 'those of hosts that left or were revoked are not free')
  t.equal(freeHostId({ ...base, members: [member(2)] }, 254), 1)
  t.equal(freeHostId(base, 4), undefined)
  t.equal(maxHostId(base), 254)
  t.equal(maxHostId({ supernet: '10.0.0.0/8', hostPrefix: 24 }), 65_534)
})

/** What an admitting host may do to its list, at random. */
const step = fc.oneof(
  fc.record({ kind: fc.constant('join' as const), key: fc.uuid() }),
  fc.record({
    kind: fc.constant('end' as const),
    at: fc.nat(20),
    to: fc.constantFrom('left' as const, 'revoked' as const),
  }),
  fc.record({ kind: fc.constant('replace' as const), at: fc.nat(20), key: fc.uuid() }),
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

const RANK: Readonly<Record<MemberState, number>> = { active: 0, left: 1, revoked: 2 }

function apply(document: MembersDocument, s: Step, now: number): MembersDocument {
  const at = new Date(Date.parse(AT) + now * 1000).toISOString()
  if (s.kind === 'join') {
    const hostId = freeHostId(document, 254)
    if (hostId === undefined) return document
    return withMembers(document, member(hostId, { keyId: s.key, joinedAt: at, changedAt: at }))
  }
  const found = document.members[s.at % document.members.length]!
  if (s.kind === 'end') {
    if (RANK[s.to] <= RANK[found.state]) return document
    return withMembers(document, { ...found, state: s.to, changedAt: at })
  }
  const formerKeys = [...found.formerKeys, found.keyId]
  return withMembers(document, {
    ...found,
    keyId: s.key,
    formerKeys,
    state: 'active',
    joinedAt: at,
    changedAt: at,
  })
}

t.test('a number is never given twice, and every step follows the one before', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let document: MembersDocument = { ...base, version: 1, members: [member(1)] }
      const holders = new Map<number, string>([[1, 'key 1']])
      steps.forEach((s, i) => {
        const next = apply(document, s, i)
        if (next === document) return
        if (notSuccessor(document, next) !== undefined) throw new Error(notSuccessor(document, next))
        for (const m of next.members) {
          const before = holders.get(m.hostId)
          if (before !== undefined && before !== m.keyId && !m.formerKeys.includes(before)) {
            throw new Error(`host ${m.hostId} was given to ${m.keyId} while ${before} held it`)
          }
          if (before === undefined && s.kind !== 'join') throw new Error('a number out of nothing')
          holders.set(m.hostId, m.keyId)
        }
        document = next
      })
      return true
    }),
  )
  t.pass()
})

t.test('two lists that parted become one that both sides take, whichever way round', async (t) => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 8 }),
      fc.array(step, { maxLength: 8 }),
      fc.array(step, { maxLength: 8 }),
      (common, left, right) => {
        const start: MembersDocument = { ...base, version: 1, members: [member(1)] }
        const from = common.reduce((d, s, i) => apply(d, s, i), start)
        const a = left.reduce((d, s, i) => apply(d, s, 100 + i), from)
        const b = right.reduce((d, s, i) => apply(d, s, 100.5 + i), from)
        const ab = merge(a, b)
        const reasons = [notSuccessor(a, ab), notSuccessor(b, ab)].filter((r) => r !== undefined)
        if (reasons.length > 0) throw new Error(reasons.join('; '))
        const same = JSON.stringify(canonical(ab)) === JSON.stringify(canonical(merge(b, a)))
        if (!same) throw new Error('the order matters')
        for (const side of [a, b]) {
          for (const m of side.members) {
            const now = memberOf(ab, m.hostId)!
            if (m.state === 'revoked' && now.keyId === m.keyId && now.state !== 'revoked')
              throw new Error('un-revoked')
          }
        }
        return true
      },
    ),
    { numRuns: 300 },
  )
  t.pass()
})

const canonical = (d: MembersDocument): unknown =>
  d.members.map((m) => ({ ...m, formerKeys: [...m.formerKeys].sort() }))
