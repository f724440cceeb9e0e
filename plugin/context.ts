/** What every verb gets: the checked input, the attachment, the slice and where to log. */

import {
  type NetConf,
  networkName,
  parseNetConfJson,
  readLeniently,
  refuseProblems,
} from '../conf/netconf.ts'
import type { Attachment } from '../core/attachment.ts'
import { ConfigError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { type Slice, sliceOf } from '../ipam/slice.ts'
import type { Env } from './env.ts'
import { fileLog } from './log.ts'
import { type CniVersion, checkVerbVersion, checkVersion } from './versions.ts'

export interface Context {
  readonly env: Env
  readonly version: CniVersion
  readonly conf: NetConf
  readonly attachment: Attachment
  /** Undefined only where a broken configuration is tolerated: DEL and GC. */
  readonly slice: Slice | undefined
  readonly log: Log
}

/** Verbs that take away: they go on with a configuration that is no longer right. */
const isLenient = (env: Env): boolean => env.verb === 'DEL' || env.verb === 'GC'

/**
 * In the order of the reference skeleton: JSON, name, version, then our own keys.
 * @throws {FlatnetError} 6 not JSON, 7 name or configuration, 1 version, 2 unknown keys
 */
export function readContext(env: Env, stdin: string): Context {
  const json = parseNetConfJson(stdin)
  const name = networkName(json)
  const version = checkVersion(json['cniVersion'])
  checkVerbVersion(env.verb, version)
  const { conf, slice } = isLenient(env) ? lenient(json, version) : strict(json, version)
  const attachment = { network: name, containerId: env.containerId, ifname: env.ifname }
  const fields = env.containerId === '' ? { network: name } : { ...attachment, netns: env.netns }
  const log = fileLog(conf.dataDir, { verb: env.verb, ...fields })
  return { env, version, conf, attachment, slice, log }
}

type ConfAndSlice = Pick<Context, 'conf' | 'slice'>

/** The slice's problems join those of the keys, so that one run shows them all. */
function strict(json: ReturnType<typeof parseNetConfJson>, version: CniVersion): ConfAndSlice {
  const { conf, problems } = readLeniently(json, version)
  if (problems.some((p) => p.startsWith('ipam.'))) refuseProblems(problems)
  const result = sliceOf(conf.ipam)
  if (!result.ok) throw new ConfigError([...problems, ...result.problems])
  refuseProblems(problems)
  return { conf, slice: result.slice }
}

function lenient(json: ReturnType<typeof parseNetConfJson>, version: CniVersion): ConfAndSlice {
  const { conf } = readLeniently(json, version)
  const result = sliceOf(conf.ipam)
  return { conf, slice: result.ok ? result.slice : undefined }
}
