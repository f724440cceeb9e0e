/**
 * The environment of a verb: which variables it needs, and what they may hold.
 *
 * @see CNI SPEC "Parameters", skel.go
 */

import { IFNAME_RULE, isIfname, isName, MAX_CONTAINER_ID_BYTES } from '../core/attachment.ts'
import { FlatnetError } from '../core/errors.ts'

type Verb = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION'

export interface Env {
  readonly verb: Verb
  readonly containerId: string
  /** Path, or empty where the verb allows it. */
  readonly netns: string
  readonly ifname: string
  readonly args: string
}

/**
 * Required variables, in the order in which the reference skeleton names them. CNI_PATH is not needed: we never
 * delegate.
 */
const REQUIRED: Readonly<Record<Verb, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  GC: [],
  STATUS: [],
  VERSION: [],
}

const VERBS: readonly string[] = Object.keys(REQUIRED)

const isVerb = (text: string): text is Verb => VERBS.includes(text)

/** @throws {FlatnetError} code 4, naming every missing variable, or the one with an impossible value */
export function readEnv(env: Readonly<Record<string, string | undefined>>): Env {
  const verb = env['CNI_COMMAND'] ?? ''
  if (!isVerb(verb)) {
    const what = verb === '' ? 'required env variables [CNI_COMMAND] missing' : `unknown CNI_COMMAND: ${verb}`
    throw new FlatnetError('ERR_FLATNET_ENV', what)
  }
  const missing: string[] = []
  for (const name of REQUIRED[verb]) if (!env[name]) missing.push(name)
  if (missing.length > 0) {
    throw new FlatnetError('ERR_FLATNET_ENV', `required env variables [${missing.join(',')}] missing`)
  }
  const result: Env = {
    verb,
    containerId: env['CNI_CONTAINERID'] ?? '',
    netns: env['CNI_NETNS'] ?? '',
    ifname: env['CNI_IFNAME'] ?? '',
    args: env['CNI_ARGS'] ?? '',
  }
  if (REQUIRED[verb].length > 0) checkNames(result)
  return result
}

/** All of them at once, each by its name (CNI E2). */
function checkNames({ containerId, ifname }: Env): void {
  const problems: string[] = []
  if (!isName(containerId)) problems.push('invalid characters in CNI_CONTAINERID')
  else if (containerId.length > MAX_CONTAINER_ID_BYTES) {
    problems.push(
      `CNI_CONTAINERID is ${containerId.length} characters long: at most ${MAX_CONTAINER_ID_BYTES}`,
    )
  }
  if (!isIfname(ifname)) {
    problems.push(`CNI_IFNAME is ${JSON.stringify(ifname)}: must be ${IFNAME_RULE}`)
  }
  if (problems.length === 0) return
  throw new FlatnetError('ERR_FLATNET_ENV', problems.join('; '), {
    ...(!isName(containerId) && { details: containerId }),
  })
}

/** The keys that runtimes are known to send; ours are IP, MAC, K8S_POD_NAME and FLATNET_PORT. */
const KNOWN_ARGS = new Set([
  'IgnoreUnknown',
  'IP',
  'MAC',
  'FLATNET_PORT',
  'K8S_POD_NAME',
  'K8S_POD_NAMESPACE',
  'K8S_POD_INFRA_CONTAINER_ID',
  'K8S_POD_UID',
])

const IGNORE = ['1', 'true', 'True']
const BOOLEANS = [...IGNORE, '0', 'false', 'False']

/**
 * `K=V;K=V` as cni's args.go reads it. A later key of the same name wins (Podman appends the user's own pairs first).
 * @throws {FlatnetError} code 4: a pair without exactly one `=`; unknown keys unless `IgnoreUnknown` is 1 or true
 */
export function readCniArgs(text: string): ReadonlyMap<string, string> {
  const args = new Map<string, string>()
  if (text === '') return args
  for (const pair of text.split(';')) {
    const [key, value, ...rest] = pair.split('=')
    if (!key || value === undefined || rest.length > 0) {
      throw new FlatnetError(
        'ERR_FLATNET_ENV',
        `CNI_ARGS: invalid pair ${JSON.stringify(pair)}, expected KEY=VALUE`,
      )
    }
    args.set(key, value)
  }
  const ignore = args.get('IgnoreUnknown') ?? '0'
  if (!BOOLEANS.includes(ignore)) {
    throw new FlatnetError(
      'ERR_FLATNET_ENV',
      `CNI_ARGS: IgnoreUnknown is ${JSON.stringify(ignore)}: 1, true, 0 or false`,
    )
  }
  if (IGNORE.includes(ignore)) return args
  const unknown = [...args.keys()].filter((key) => !KNOWN_ARGS.has(key))
  if (unknown.length > 0) {
    throw new FlatnetError(
      'ERR_FLATNET_ENV',
      `CNI_ARGS: unknown keys [${unknown.join(',')}]; IgnoreUnknown=1 lets them pass`,
    )
  }
  return args
}
