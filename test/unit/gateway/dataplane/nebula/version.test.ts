/** gateway/dataplane/nebula/version: which release it is, and what differs. */

import t from 'tap'
import {
  canSkipRoutes,
  hasNetworkFlags,
  needsLocalCidr,
  parseVersion,
  tooOld,
} from '../../../../../gateway/dataplane/nebula/version.ts'

const cases: [printed: string, text: string | undefined, differs: boolean[]][] = [
  // old, skips routes, network flags and local_cidr
  ['Version: 1.5.2\n', '1.5.2', [true, false, false]],
  ['Version: 1.6.1\n', '1.6.1', [false, false, false]],
  ['Version: 1.7.0\n', '1.7.0', [false, true, false]],
  ['Version: 1.9.7\n', '1.9.7', [false, true, false]],
  ['Version: 1.10.3\n', '1.10.3', [false, true, true]],
  ['Version: 1.11.0-dev+abc\n', '1.11.0-dev+abc', [false, true, true]],
  ['Version: v2.0\n', '2.0', [false, true, true]],
  ['nebula: command not understood', undefined, []],
  ['', undefined, []],
]

for (const [printed, text, differs] of cases)
  t.test(`${printed.trim()}`, (t) => {
    const version = parseVersion(printed)
    t.equal(version?.text, text)
    const has = version !== undefined
    const seen = has ? [tooOld(version) !== undefined, canSkipRoutes(version), hasNetworkFlags(version)] : []
    t.same(seen, differs)
    t.equal(has && needsLocalCidr(version), has && hasNetworkFlags(version))
    t.end()
  })
