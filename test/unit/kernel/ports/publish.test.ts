/** kernel/ports/claims.ts: who may have a host port when something stands there already, and whose it is afterwards. */
import t from 'tap'
import { claimsComment, decideSlot, readClaims } from '../../../../kernel/ports/claims.ts'

const OWNER = 'fn0000000001'
const OTHER = 'fn0000000002'
const THIRD = 'fn0000000003'

const standing = (
  claims: readonly string[],
  ownerContainer: string | undefined,
  is = 'elsewhere',
  isOwnerGone = ownerContainer === undefined,
) => ({
  claims,
  isOwnerGone,
  ownerContainer,
  isSameTarget: is === 'target',
  isSamePort: is === 'target' || is === 'port',
})

const CASES = [
  {
    name: 'a free place is taken',
    facts: {
      claims: undefined,
      isOwnerGone: true,
      ownerContainer: undefined,
      isSameTarget: false,
      isSamePort: false,
    },
    decision: 'add',
  },
  { name: 'our own element stays', facts: standing([OWNER], 'c1', 'target'), decision: 'keep' },
  { name: 'our own with another target is replaced', facts: standing([OWNER], 'c1'), decision: 'replace' },
  { name: 'a stale owner is replaced', facts: standing([OTHER], undefined), decision: 'replace' },
  {
    name: 'also one that led to the same address',
    facts: standing([OTHER], undefined, 'target'),
    decision: 'replace',
  },
  {
    name: 'also when we were its heir',
    facts: standing([OTHER, OWNER], 'c1', 'port', true),
    decision: 'replace',
  },
  {
    name: 'an heir that lives has the port of a stale owner',
    facts: standing([OTHER, THIRD], 'c2', 'port', true),
    decision: 'conflict',
  },
  {
    name: "an element without owner is nobody's",
    facts: standing(readClaims(undefined), undefined),
    decision: 'replace',
  },
  { name: 'a live owner is a conflict', facts: standing([OTHER], 'c2'), decision: 'conflict' },
  {
    name: 'also when the target is the same',
    facts: standing([OTHER], 'c2', 'target'),
    decision: 'conflict',
  },
  {
    name: 'the same container on another network is joined',
    facts: standing([OTHER], 'c1', 'port'),
    decision: 'join',
  },
  {
    name: 'and is joined only once',
    facts: standing([OTHER, THIRD, OWNER], 'c1', 'port'),
    decision: 'keep',
  },
  {
    name: 'it keeps a port that leads to another port of the container',
    facts: standing([OTHER], 'c1'),
    decision: 'keep',
  },
] as const

for (const { name, decision, facts } of CASES)
  t.test(name, async (t) => {
    t.equal(decideSlot(facts, OWNER, 'c1'), decision)
  })

t.test('a container that is not known shares nothing with another one that is not', async (t) => {
  t.equal(decideSlot(standing([OTHER], 'c2', 'port'), OWNER, undefined), 'conflict')
})

t.test('the comment holds as many names as nft can read', async (t) => {
  const names = Array.from({ length: 12 }, (_, i) => `fn${String(i).padStart(10, '0')}`)
  const comment = claimsComment(names)
  t.ok(Buffer.byteLength(comment) <= 127)
  t.same(readClaims(comment), names.slice(0, 9))
  t.equal(claimsComment([OWNER]), OWNER, 'one owner alone is what it always was')
})
