/** A cluster's identities for tests, made by the product's own CA. */
import { X509Certificate } from 'node:crypto'
import { issue, type KeyedPem, makeCa, makeRequest } from '../../gateway/cluster/certificates.ts'
import { keyIdOf } from '../../gateway/peers/tls.ts'
import type { Identity, Member } from '../../gateway/peers/types.ts'

export interface TestCluster {
  readonly name: string
  readonly ca: KeyedPem
  identity(hostId: number, days?: number): Promise<Identity>
}

export async function testCluster(name = 'testing', now = Date.now()): Promise<TestCluster> {
  const ca = await makeCa(name, now)
  return {
    name,
    ca,
    async identity(hostId, days) {
      const { keyPem, requestPem } = await makeRequest()
      const certPem = await issue(ca, requestPem, {
        cluster: name,
        hostId,
        now,
        ...(days !== undefined && { days }),
      })
      return { cluster: name, hostId, caPem: ca.certPem, certPem, keyPem }
    },
  }
}

export const memberOf = (identity: Identity, ...endpoints: string[]): Member => ({
  hostId: identity.hostId,
  keyId: keyIdOf(new X509Certificate(identity.certPem)),
  endpoints,
})
