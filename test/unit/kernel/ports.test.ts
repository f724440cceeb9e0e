/** kernel/ports.ts: who may have a host port when something stands there already. */
import t from 'tap'
import { decideSlot } from '../../../kernel/ports.ts'

const OWNER = 'fn0000000001'
const OTHER = 'fn0000000002'

const CASES = [
  {
    name: 'a free place is taken',
    owner: undefined,
    isSameTarget: false,
    ownerContainer: undefined,
    decision: 'add',
  },
  { name: 'our own element stays', owner: OWNER, isSameTarget: true, ownerContainer: 'c1', decision: 'keep' },
  {
    name: 'our own with another target is replaced',
    owner: OWNER,
    isSameTarget: false,
    ownerContainer: 'c1',
    decision: 'replace',
  },
  {
    name: 'a stale owner is replaced',
    owner: OTHER,
    isSameTarget: false,
    ownerContainer: undefined,
    decision: 'replace',
  },
  {
    name: 'also one that led to the same address',
    owner: OTHER,
    isSameTarget: true,
    ownerContainer: undefined,
    decision: 'replace',
  },
  {
    name: "an element without owner is nobody's",
    owner: '',
    isSameTarget: false,
    ownerContainer: undefined,
    decision: 'replace',
  },
  {
    name: 'a live owner is a conflict',
    owner: OTHER,
    isSameTarget: false,
    ownerContainer: 'c2',
    decision: 'conflict',
  },
  {
    name: 'also when the target is the same',
    owner: OTHER,
    isSameTarget: true,
    ownerContainer: 'c2',
    decision: 'conflict',
  },
  {
    name: 'the same container on another network keeps it',
    owner: OTHER,
    isSameTarget: false,
    ownerContainer: 'c1',
    decision: 'keep',
  },
] as const

for (const { name, decision, ...facts } of CASES)
  t.test(name, async (t) => {
    t.equal(decideSlot(facts, OWNER, 'c1'), decision)
  })

t.test('a container that is not known shares nothing with another one that is not', async (t) => {
  t.equal(
    decideSlot({ owner: OTHER, isSameTarget: false, ownerContainer: 'c2' }, OWNER, undefined),
    'conflict',
  )
})
