/** A cluster's identities for tests, made by the product's own CA. */
import { X509Certificate } from 'node:crypto'
import { issue, type KeyedPem, makeCa, makeRequest } from '../../../gateway/cluster/identity/certificates.ts'
import { keyIdOf } from '../../../gateway/links/tls.ts'
import type { Identity, Member } from '../../../gateway/links/types.ts'

export interface TestCluster {
  readonly name: string
  readonly ca: KeyedPem
  identity(hostId: number, days?: number): Promise<Identity>
}

/** All tests of a process share it: a CA takes 10 ms to make, an identity 20. */
const common = {
  ca: undefined as Promise<KeyedPem> | undefined,
  identities: new Map<string, Promise<Identity>>(),
}

/**
 * Without a name, all tests of a process share one CA and get the same keys in the same order; two identities for one
 * host of a cluster have different keys. With a name, each call makes a new CA.
 */
export async function testCluster(named?: string, now = Date.now()): Promise<TestCluster> {
  const name = named ?? 'testing'
  const isCommon = named === undefined
  if (isCommon) common.ca ??= makeCa(name, now)
  const ca = await ((isCommon ? common.ca : undefined) ?? makeCa(name, now))
  const make = async (hostId: number, days?: number): Promise<Identity> => {
    const { keyPem, requestPem } = await makeRequest()
    const certPem = await issue(ca, requestPem, {
      cluster: name,
      hostId,
      now,
      ...(days !== undefined && { days }),
    })
    return { cluster: name, hostId, caPem: ca.certPem, certPem, keyPem }
  }
  const asked = new Map<number, number>()
  return {
    name,
    ca,
    identity(hostId, days) {
      if (!isCommon || days !== undefined) return make(hostId, days)
      const nth = (asked.get(hostId) ?? 0) + 1
      asked.set(hostId, nth)
      const key = `${hostId} ${nth}`
      const identity = common.identities.get(key) ?? make(hostId)
      common.identities.set(key, identity)
      return identity
    },
  }
}

export const memberOf = (identity: Identity, ...endpoints: string[]): Member => ({
  hostId: identity.hostId,
  keyId: keyIdOf(new X509Certificate(identity.certPem)),
  endpoints,
})
