/** Which certificate a client gets. */

import t from 'tap'
import { choose } from '../../../../../gateway/ingress/tls/choice.ts'

const of = (...names: string[]) => ({ names })
const wild = of('*.shop.x', 'shop.x')
const exact = of('a.shop.x')
const web = of('web')

for (const [name, expected, why] of [
  ['shop.x', wild, 'an exact name'],
  ['a.shop.x', exact, 'the exact name before a wildcard'],
  ['b.shop.x', wild, 'a wildcard stands for one label'],
  ['b.c.shop.x', undefined, 'and for no more'],
  ['B.Shop.X.', wild, 'case and a final dot do not count'],
  ['web', web, 'a single label'],
  ['', undefined, 'no name'],
  ['*.shop.x', wild, 'a wildcard asked for is a name'],
] as const)
  t.equal(choose(name, [wild, exact, web]), expected, why)
