/**
 * plugin/versions.ts: exact version strings, and verbs no older than their version
 * (docs/architecture/cni.md#s2, #r2, #verb-versions).
 */
import t from 'tap'
import {
  atLeast,
  checkVerbVersion,
  checkVersion,
  SUPPORTED_VERSIONS,
  versionForError,
} from '../../../plugin/versions.ts'

t.test('a supported version is itself, any other is code 1 with both sides named (S2)', async (t) => {
  for (const version of SUPPORTED_VERSIONS) t.equal(checkVersion(version), version)
  for (const value of ['9.9.9', '0.2.0', '1.0', 'v1.0.0', '1.0.0 ', 7, null, {}, [], 'x'])
    t.throws(
      () => checkVersion(value),
      {
        code: 'ERR_FLATNET_VERSION',
        message: 'incompatible CNI versions',
        details: `config is ${JSON.stringify(value)}, plugin supports ["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]`,
      },
      JSON.stringify(value),
    )
  const details = 'config is "0.1.0", plugin supports ["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]'
  for (const absent of [undefined, ''])
    t.throws(() => checkVersion(absent), { code: 'ERR_FLATNET_VERSION', details })
})

t.test('CHECK needs 0.4.0, GC and STATUS need 1.1.0', async (t) => {
  const allowed = (verb: string) =>
    SUPPORTED_VERSIONS.filter((version) => {
      try {
        checkVerbVersion(verb, version)
        return true
      } catch {
        return false
      }
    })
  t.same(allowed('CHECK'), ['0.4.0', '1.0.0', '1.1.0'])
  t.same(allowed('GC'), ['1.1.0'])
  t.same(allowed('STATUS'), ['1.1.0'])
  t.same(allowed('ADD'), SUPPORTED_VERSIONS)
  t.same(allowed('DEL'), SUPPORTED_VERSIONS)
  t.throws(() => checkVerbVersion('CHECK', '0.3.1'), { message: 'config version does not allow CHECK' })
})

t.test('versions are ordered', async (t) => {
  t.ok(atLeast('1.1.0', '1.0.0'))
  t.ok(atLeast('1.0.0', '1.0.0'))
  t.notOk(atLeast('0.4.0', '1.0.0'))
})

t.test('an error object always has a version', async (t) => {
  t.equal(versionForError('0.4.0'), '0.4.0')
  t.equal(versionForError('9.9.9'), '9.9.9', "the config's own, whatever it is")
  for (const value of [undefined, '', 7, null, {}]) t.equal(versionForError(value), '1.1.0')
})
