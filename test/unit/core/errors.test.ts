/** core/errors.ts: every failure becomes one CNI error object with the right code and the whole cause chain. */
import { NetlinkError, SyscallError } from 'netlink-ts/errors.ts'
import t from 'tap'
import {
  CNI_CODE_OF,
  CniCode,
  ConfigError,
  type FlatnetCode,
  FlatnetError,
  hasCode,
  joinCauses,
  toCniError,
} from '../../../core/errors.ts'

const codes = Object.entries(CNI_CODE_OF) as [FlatnetCode, number][]

t.test('each code of ours has its CNI number', async (t) => {
  for (const [code, number] of codes)
    t.equal(toCniError(new FlatnetError(code, 'x'), '1.0.0').code, number, code)
  t.equal(new Set(Object.values(CNI_CODE_OF)).size, codes.length, 'and no two share one')
  t.same(
    Object.values(CniCode).filter((n) => n >= 100 && n < 999),
    [100, 101, 102, 103, 104, 105],
    'ours are 100 and up (CNI SPEC "Error")',
  )
})

t.test('an error object has cniVersion, code and msg, and details only when there are some', async (t) => {
  t.same(toCniError(new FlatnetError('ERR_FLATNET_ENV', 'what'), '0.4.0'), {
    cniVersion: '0.4.0',
    code: 4,
    msg: 'what',
  })
  const err = new FlatnetError('ERR_FLATNET_STORE', 'the store', {
    details: 'own words',
    cause: new Error('outer', { cause: new Error('inner') }),
  })
  t.same(toCniError(err, '1.1.0'), {
    cniVersion: '1.1.0',
    code: 105,
    msg: 'the store',
    details: 'own words: outer: inner',
  })
})

t.test("the kernel's refusal is code 103 with operation and errno, bare or as a cause", async (t) => {
  const refused = new NetlinkError('RTM_NEWLINK', 1, { kernelMessage: 'not today' })
  const bare = toCniError(refused, '1.0.0')
  t.equal(bare.code, 103)
  t.match(bare.msg, /RTM_NEWLINK/)
  t.match(bare.msg, /EPERM/)
  t.match(bare.msg, /not today/)
  t.equal(toCniError(new Error('wrapping', { cause: refused }), '1.0.0').code, 103)
  t.equal(toCniError(new SyscallError('setns', 1), '1.0.0').code, 103)
  const meant = new FlatnetError('ERR_FLATNET_NFTABLES', 'ports', { cause: refused })
  t.equal(toCniError(meant, '1.0.0').code, 104, 'a code that was meant stays')
})

t.test('whatever is thrown has an answer', async (t) => {
  for (const thrown of [
    undefined,
    null,
    'text',
    7,
    Symbol.iterator,
    {},
    new TypeError('x is not a function'),
  ]) {
    const error = toCniError(thrown, '1.0.0')
    t.equal(error.code, 999, String(thrown))
    t.type(error.msg, 'string')
  }
})

t.test('a configuration shows every problem, and one alone is the message', async (t) => {
  t.same(toCniError(new ConfigError(['mtu is 7: no']), '1.0.0'), {
    cniVersion: '1.0.0',
    code: 7,
    msg: 'mtu is 7: no',
  })
  const several = toCniError(
    new ConfigError(['a is 1: no', 'b is 2: no'], 'ERR_FLATNET_UNSUPPORTED'),
    '1.0.0',
  )
  t.equal(several.code, 2)
  t.equal(several.msg, '2 problems in the configuration')
  t.equal(several.details, 'a is 1: no; b is 2: no')
  t.equal(toCniError(new ConfigError([]), '1.0.0').msg, 'unknown problem')
})

t.test('errors of node:fs by code', async (t) => {
  t.equal(hasCode(Object.assign(new Error(), { code: 'EIO' }), 'ENOENT', 'EIO'), true)
  t.equal(hasCode(new Error('EIO'), 'EIO'), false)
  t.equal(hasCode({ code: 'EIO' }, 'EIO'), false)
})

t.test('errors with their causes in one line', async (t) => {
  const errors = [
    new Error('lease of web', { cause: new Error('ENOSPC') }),
    new Error('veth', { cause: 'gone' }),
  ]
  t.equal(joinCauses(errors), 'lease of web: ENOSPC; veth: gone')
  t.equal(joinCauses([]), '')
})
