/** Doctor, what stands under containers that live: bridge, links, rules and ports. */

import { hostCheck } from '../check.ts'
import { gatherAttached } from './gather.ts'
import { judgeAttached } from './judge.ts'

export const check = hostCheck({
  name: 'attached',
  // The check of the leases reports it.
  needsRoot: [],
  gather: ({ host, places, nftTemplate }) => gatherAttached(host, places, nftTemplate),
  judge: judgeAttached,
})
