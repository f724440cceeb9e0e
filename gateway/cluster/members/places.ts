/** Where the members of the cluster listen, as this host's files say: for rules that outlive the gateway. */

import { isObject } from '../../../core/json.ts'
import { parseEndpoint } from '../../links/tls.ts'
import type { ClusterFiles } from '../identity/files.ts'
import { unseal } from './document.ts'
import { EndpointBook } from './endpoints.ts'

/** This host's own are among them: containers of other hosts come to them as well. */
export function placesOf(files: ClusterFiles): { host: string; port: number }[] {
  const sealed: unknown = JSON.parse(files.read('members') ?? 'null')
  const members = isObject(sealed) ? unseal(sealed, files.read('caPem') ?? '').members : []
  const said = members
    .filter(({ state }) => state === 'active')
    .flatMap(({ endpoints }) => endpoints)
    .concat(new EndpointBook(files).all().flatMap(({ endpoints }) => endpoints))
  return [...new Set(said)].flatMap((endpoint) => parseEndpoint(endpoint) ?? [])
}
