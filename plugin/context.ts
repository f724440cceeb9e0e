/** What every verb gets: the checked input, the attachment, the slice and where to log. */

import {
  type NetConf,
  networkName,
  parseNetConfJson,
  readLeniently,
  refuseProblems,
} from '../conf/netconf.ts'
import type { Attachment } from '../core/attachment.ts'
import type { Millis } from '../core/clock.ts'
import { ConfigError } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import { type Slice, sliceOf } from '../ipam/choose/slice.ts'
import type { DnsFallback } from './dns.ts'
import { type Env, readCniArgs } from './env.ts'
import { fileLog } from './log.ts'
import { readAttachmentRequest } from './request.ts'
import { type CniVersion, checkVerbVersion, checkVersion } from './versions.ts'

export interface Context {
  readonly env: Env
  readonly version: CniVersion
  readonly conf: NetConf
  readonly attachment: Attachment
  /** Undefined only where a broken configuration is tolerated: DEL and GC. */
  readonly slice: Slice | undefined
  readonly log: Log
  /** Absent: the host's servers, as with CNI. */
  readonly dnsFallback?: DnsFallback
  /**
   * Of `monotonic()`: after it no lock is waited for. Absent: each wait has its own limit. Podman 5 holds a lock for
   * the whole host while a verb runs (plugin/netavark/wait-limits.ts).
   */
  readonly until?: Millis
}

/** ADD's result. */
export interface Output {
  /** For stdout. */
  readonly text: string
  /** What is done once the runtime has it. */
  after(): Promise<void>
}

/** Verbs that remove: they work with a configuration that is no longer valid. */
const isLenient = (env: Env): boolean => env.verb === 'DEL' || env.verb === 'GC'

/**
 * In the order of the reference skeleton: JSON, name, version, then our own keys.
 * @throws {FlatnetError} 6 not JSON, 7 name or configuration, 1 version, 2 unknown keys
 */
export const readContext = (env: Env, stdin: string): Context => contextOf(env, parseNetConfJson(stdin))

/** @throws {FlatnetError} as `readContext`, without 6 */
export function contextOf(env: Env, json: Json): Context {
  const name = networkName(json)
  const version = checkVersion(json['cniVersion'])
  checkVerbVersion(env.verb, version)
  const { conf, slice } = isLenient(env) ? lenient(env, json, version) : strict(env, json, version)
  const attachment = { network: name, containerId: env.containerId, ifname: env.ifname }
  const fields = env.containerId === '' ? { network: name } : { ...attachment, netns: env.netns }
  const log = fileLog(conf.dataDir, { verb: env.verb, ...fields })
  return { env, version, conf, attachment, slice, log }
}

type ConfAndSlice = Pick<Context, 'conf' | 'slice'>

type Json = ReturnType<typeof parseNetConfJson>

/** One error lists the problems of the keys, of the slice and of what the container asks for. */
function strict(env: Env, json: Json, version: CniVersion): ConfAndSlice {
  const { conf, problems } = readLeniently(json, version)
  if (env.verb === 'ADD') problems.push(...requestProblems(conf, env))
  const result = sliceOf(conf.ipam, problems)
  if (!result.ok) problems.push(...result.problems)
  refuseProblems(problems)
  return { conf, slice: result.ok ? result.slice : undefined }
}

function requestProblems(conf: NetConf, env: Env): readonly string[] {
  try {
    readAttachmentRequest(conf, readCniArgs(env.args))
    return []
  } catch (err) {
    if (err instanceof ConfigError) return err.problems
    throw err
  }
}

function lenient(env: Env, json: Json, version: CniVersion): ConfAndSlice {
  const { conf, problems } = readLeniently(json, version)
  // The runtime's list of what to keep, held against another network's store, would delete all of it.
  if (env.verb === 'GC') refuseProblems(problems.filter((p) => /^(ipam\.)?dataDir /.test(p)))
  const result = sliceOf(conf.ipam)
  return { conf, slice: result.ok ? result.slice : undefined }
}
