/** gateway/dataplane/nebula/prepare: what has to be right before a start, and what a person reads otherwise. */

import { readFileSync, statSync } from 'node:fs'
import t from 'tap'
import { nebulaFiles } from '../../../../../gateway/dataplane/nebula/overlay.ts'
import { findVersion, prepareConfig } from '../../../../../gateway/dataplane/nebula/prepare.ts'
import { scratchFolder } from '../../../../helpers/run/scratch.ts'

const printing =
  (output: string, code = 0) =>
  async () => ({ code, output })

t.test('the version', async (t) => {
  t.equal((await findVersion(printing('Version: 1.6.1\n'))).text, '1.6.1')
  await t.rejects(
    findVersion(printing('Version: 1.4.0\n')),
    /version 1\.4\.0 is too old: 1\.6 or later is needed/,
  )
  await t.rejects(findVersion(printing('\x1b[31mno\n')), /nebula -version says "[ -~]*no/)
})

t.test('what Nebula says of the configuration', async (t) => {
  const files = nebulaFiles(scratchFolder(t))
  const asked: (readonly string[])[] = []
  await prepareConfig(files, 'text', async (...args) => {
    asked.push(args)
    return { code: 0, output: '' }
  })
  t.same(asked, [['-test', '-config', files.config]])
  t.equal(readFileSync(files.config, 'utf8'), 'text')
  t.equal(statSync(files.config).mode & 0o777, 0o600)
  await t.rejects(
    prepareConfig(files, 'other', printing('level=info\nlevel=error msg="certificate has expired"\n', 1)),
    /nebula refuses its configuration: certificate has expired$/,
  )
  t.equal(readFileSync(files.config, 'utf8'), 'other', 'the newer one is there to look at')
})
