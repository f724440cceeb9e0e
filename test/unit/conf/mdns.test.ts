/** The section `mdns` of flatnet.yaml: off unless it says so. */

import t from 'tap'
import { daemonConf } from '../../../conf/daemon.ts'

const mdns = (value: unknown) => daemonConf({ hostId: 1, mdns: value }).mdns

t.test('values', (t) => {
  t.same(mdns(undefined), { enabled: false })
  t.same(mdns({ enabled: true }), { enabled: true })
  t.throws(() => mdns({ enabled: 'yes' }), /mdns\.enabled is "yes": must be true or false/)
  t.throws(() => mdns({ enable: true }), /mdns\.enable/)
  t.end()
})
