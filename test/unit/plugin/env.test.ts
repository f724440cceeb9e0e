/**
 * plugin/env.ts: which variables a verb needs and what they may hold (docs/architecture/cni.md#e1 to #e3,
 * #c6).
 */
import fc from 'fast-check'
import t from 'tap'
import { FlatnetError } from '../../../core/errors.ts'
import { readCniArgs, readEnv } from '../../../plugin/env.ts'

const ATTACHMENT = { CNI_CONTAINERID: 'c1', CNI_NETNS: '/run/netns/c1', CNI_IFNAME: 'eth0' }

/** `<code> <message>: <details>`. */
function refusal(run: () => unknown): string {
  try {
    run()
  } catch (err) {
    if (err instanceof FlatnetError)
      return `${err.cniCode} ${err.message}${err.details ? `: ${err.details}` : ''}`
    throw err
  }
  return 'none'
}

t.test('all missing variables are named at once, in the order of the skeleton (E1)', async (t) => {
  const missing = (verb: string, env = {}) => refusal(() => readEnv({ CNI_COMMAND: verb, ...env }))
  t.equal(missing('ADD'), '4 required env variables [CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME] missing')
  t.equal(
    missing('CHECK', { CNI_NETNS: '/x' }),
    '4 required env variables [CNI_CONTAINERID,CNI_IFNAME] missing',
  )
  t.equal(missing('DEL'), '4 required env variables [CNI_CONTAINERID,CNI_IFNAME] missing')
  t.equal(missing('DEL', { ...ATTACHMENT, CNI_NETNS: '' }), 'none', 'DEL works without a namespace (D1)')
  t.equal(missing('ADD', { ...ATTACHMENT, CNI_NETNS: '' }), '4 required env variables [CNI_NETNS] missing')
  for (const verb of ['GC', 'STATUS', 'VERSION']) t.equal(missing(verb), 'none', verb)
  t.equal(missing('ADD', ATTACHMENT), 'none', 'CNI_PATH is not insisted on')
})

t.test('an unknown or empty verb is code 4 (C6)', async (t) => {
  for (const verb of ['add', 'UPDATE', '__proto__', 'toString', ' ADD'])
    t.equal(
      refusal(() => readEnv({ CNI_COMMAND: verb })),
      `4 unknown CNI_COMMAND: ${verb}`,
    )
  t.equal(
    refusal(() => readEnv({ CNI_COMMAND: '' })),
    '4 required env variables [CNI_COMMAND] missing',
  )
  t.equal(
    refusal(() => readEnv({})),
    '4 required env variables [CNI_COMMAND] missing',
  )
})

t.test('what cannot be a container or an interface is refused by name and value (E2)', async (t) => {
  const wrong = (over: object) => refusal(() => readEnv({ CNI_COMMAND: 'ADD', ...ATTACHMENT, ...over }))
  for (const id of ['-c1', '../c1', 'a b', 'a/b', 'a:b', 'ä', 'a\n'])
    t.equal(wrong({ CNI_CONTAINERID: id }), `4 invalid characters in CNI_CONTAINERID: ${id}`)
  t.match(
    wrong({ CNI_CONTAINERID: 'x'.repeat(129) }),
    /^4 CNI_CONTAINERID is 129 characters long: at most 128/,
  )
  t.equal(wrong({ CNI_CONTAINERID: 'x'.repeat(128) }), 'none')
  for (const name of ['x'.repeat(16), '.', '..', 'a/b', 'a:b', 'a b', 'a\t'])
    t.equal(
      wrong({ CNI_IFNAME: name }),
      `4 CNI_IFNAME is ${JSON.stringify(name)}: must be 1 to 15 bytes without / : % or blanks, not . or .., all or default`,
    )
  t.equal(
    refusal(() => readEnv({ CNI_COMMAND: 'VERSION', CNI_CONTAINERID: '-' })),
    'none',
    'Podman sends dummies (V1)',
  )
})

t.test('CNI_ARGS: pairs, the last of a name wins, empty is none', async (t) => {
  t.same([...readCniArgs('')], [])
  t.same(
    [...readCniArgs('IP=10.0.0.1;MAC=')],
    [
      ['IP', '10.0.0.1'],
      ['MAC', ''],
    ],
  )
  t.equal(readCniArgs('IP=1;IP=2').get('IP'), '2')
  t.same([...readCniArgs('IgnoreUnknown=1;FOO=bar;K8S_POD_NAME=web')].length, 3)
})

t.test('CNI_ARGS: what is no pair, unknown or no truth is code 4 (E3)', async (t) => {
  for (const pair of ['IP', 'IP=1=2', '=x', ''])
    t.match(
      refusal(() => readCniArgs(`${pair};MAC=x`)),
      `4 CNI_ARGS: invalid pair ${JSON.stringify(pair)}`,
    )
  for (const text of ['FOO=1;BAR=2', 'IgnoreUnknown=0;FOO=1;BAR=2', 'IgnoreUnknown=false;FOO=1;BAR=2'])
    t.equal(
      refusal(() => readCniArgs(text)),
      '4 CNI_ARGS: unknown keys [FOO,BAR]; IgnoreUnknown=1 lets them pass',
    )
  t.match(
    refusal(() => readCniArgs('ip=10.0.0.1')),
    /unknown keys \[ip\]/,
    'keys are case-sensitive',
  )
  for (const value of ['1', 'true', 'True'])
    t.equal(
      refusal(() => readCniArgs(`FOO=1;IgnoreUnknown=${value}`)),
      'none',
    )
  for (const value of ['', 'yes', 'TRUE', '2'])
    t.match(
      refusal(() => readCniArgs(`IgnoreUnknown=${value}`)),
      /^4 CNI_ARGS: IgnoreUnknown is /,
    )
})

t.test('any text is read or refused with code 4, never more', async () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: fc.constantFrom('=', ';', 'IP', 'IgnoreUnknown', '1', 'x') }),
  )
  fc.assert(
    fc.property(text, (args) => /^(none|4 )/.test(refusal(() => readCniArgs(args)))),
    { numRuns: 1_000 },
  )
  fc.assert(
    fc.property(fc.dictionary(fc.constantFrom('CNI_COMMAND', ...Object.keys(ATTACHMENT)), text), (env) =>
      /^(none|4 )/.test(refusal(() => readEnv(env))),
    ),
    { numRuns: 1_000 },
  )
})
