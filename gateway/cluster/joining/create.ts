/**
 * Makes a cluster with this host as its first, or puts this host into an existing one.
 *
 * Both write the list of members last: a run that was cut short before it does not count.
 */

import { randomBytes } from 'node:crypto'
import { formatPrefix, type Prefix4 } from '../../../core/addr.ts'
import type { Millis } from '../../../core/clock.ts'
import { issue, keyIdOfRequest, makeCa, makeRequest } from '../identity/certificates.ts'
import type { ClusterFiles } from '../identity/files.ts'
import { seal } from '../members/document.ts'
import { type JoinOptions, requestJoin, type Welcome } from './joining.ts'
import type { Token } from './tokens.ts'

export interface CreateOptions {
  /** Lower-case letters, digits and `-`; part of every certificate. */
  readonly cluster?: string | undefined
  readonly hostId: number
  /** Of this machine. */
  readonly name: string
  readonly endpoints: readonly string[]
  readonly supernet: Prefix4
  readonly hostPrefix: number
  readonly now: Millis
}

/** `k3v9q2`: keeps two clusters of one person apart in logs. */
const randomName = (): string => randomBytes(4).readUInt32BE().toString(36).padStart(7, '0')

/**
 * Nothing counts until the list of members is there: the next run overwrites what one that was cut short left behind.
 */
export async function createCluster(files: ClusterFiles, options: CreateOptions): Promise<string> {
  const { cluster = randomName(), hostId, name, endpoints, supernet, hostPrefix, now } = options
  const ca = await makeCa(cluster, now)
  const { keyPem, requestPem } = await makeRequest()
  const certPem = await issue(ca, requestPem, { cluster, hostId, now })
  const at = new Date(now).toISOString()
  const member = {
    hostId,
    keyId: await keyIdOfRequest(requestPem),
    formerKeys: [],
    name,
    endpoints,
    admits: true,
    state: 'active' as const,
    joinedAt: at,
    changedAt: at,
  }
  const document = { cluster, version: 1, supernet: formatPrefix(supernet), hostPrefix, members: [member] }
  files.write('caKeyPem', ca.keyPem)
  files.write('caPem', ca.certPem)
  files.write('keyPem', keyPem)
  files.write('certPem', certPem)
  files.write('members', `${JSON.stringify(seal(document, ca.keyPem))}\n`)
  return cluster
}

/**
 * The key is on disk before it is sent: a run that was cut short comes back with the same key. The admitting host
 * knows that key and gives it the same number, although the token is spent.
 * @throws {JoinError}
 */
export async function enterCluster(
  files: ClusterFiles,
  token: Token,
  options: Omit<JoinOptions, 'requestPem'>,
): Promise<Welcome> {
  const { keyPem, requestPem } = await makeRequest(files.read('keyPem'))
  files.write('keyPem', keyPem)
  const welcome = await requestJoin(token, { ...options, requestPem })
  files.write('caPem', welcome.caPem)
  files.write('certPem', welcome.certPem)
  files.write('endpoints', `${JSON.stringify(welcome.endpoints)}\n`)
  files.write('members', `${JSON.stringify(welcome.sealed)}\n`)
  return welcome
}
