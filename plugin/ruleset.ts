/** The nftables side of a network, as configuration says it. */

import type { NetworkRules } from '../kernel/rules.ts'
import type { Context } from './context.ts'

export const rulesOf = ({ conf }: Context): NetworkRules => ({
  bridge: conf.bridge,
  supernet: conf.ipam.supernet,
  masquerade: conf.ipMasq,
  lockPath: `${conf.dataDir}/rules.lock`,
})
