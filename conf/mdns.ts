/** The section `mdns` of flatnet.yaml: names for people on the LAN. */

import { refuseUnknown } from './daemon-values.ts'
import type { Reader } from './reader.ts'

export interface MdnsConf {
  /** `web.local` leads to this host, whose ingress leads to container web. */
  readonly enabled: boolean
}

export function readMdns(top: Reader): MdnsConf {
  const mdns = top.object('mdns')
  refuseUnknown(mdns, top.get('mdns'), ['enabled'])
  return { enabled: mdns.boolean('enabled', false) }
}
