/** Which DNS servers a container gets: what a person wrote, else the gateway, where it serves names. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { readNetConf } from '../../../conf/netconf.ts'
import { sliceOf } from '../../../ipam/choose/slice.ts'
import { type DnsFallback, dnsOf } from '../../../plugin/dns.ts'
import { EMPTY_RESULT } from '../../../plugin/result.ts'
import { scratchFolder } from '../../helpers/run/scratch.ts'

const ANNOUNCED = '{"domain":"flatnet.internal","taken":[]}'
const OURS = { nameservers: ['10.100.1.1'], search: ['flatnet.internal'] }

interface Case {
  /** The file of the gateway; undefined: it never ran, or `dns.enabled: false`. */
  readonly announced?: string
  readonly conf?: object
  readonly prev?: object
  readonly behind?: DnsFallback
}

function dns(t: Test, { announced, conf = {}, prev, behind }: Case): unknown {
  const dataDir = scratchFolder(t)
  mkdirSync(join(dataDir, 'gateway'))
  if (announced !== undefined) writeFileSync(join(dataDir, 'gateway/names.json'), announced)
  const registrar = { endpoint: `unix://${dataDir}/gateway.sock` }
  const json = {
    name: 'flatnet',
    type: 'flatnet',
    ipam: { type: 'flatnet', hostId: 1 },
    dataDir,
    registrar,
    ...conf,
  }
  const read = readNetConf(json, '1.0.0')
  const result = prev === undefined ? undefined : { ...EMPTY_RESULT, dns: prev as never }
  const slice = sliceOf(read.ipam)
  if (!slice.ok) throw new Error('the slice is wrong')
  return dnsOf(read, slice.slice, result, behind)
}

t.test('where the gateway serves names', (t) => {
  t.same(dns(t, { announced: ANNOUNCED }), OURS)
  t.same(dns(t, { announced: '{"domain":"corp.example","taken":[]}' }), { ...OURS, search: ['corp.example'] })
  t.end()
})

t.test('where it does not', (t) => {
  t.same(dns(t, {}), {}, 'it never ran, or names are off')
  t.same(
    dns(t, { announced: '{"domain":"flatnet.internal","taken":["10.100.1.1"]}' }),
    {},
    'the port is taken',
  )
  t.same(dns(t, { announced: '{"domain":' }), {}, 'a broken file stops no container')
  t.same(dns(t, { announced: '[]' }), {})
  t.end()
})

t.test('as the only server it is named while the gateway listens', (t) => {
  t.same(dns(t, { announced: ANNOUNCED, behind: 'nothing' }), {}, 'nothing listens at its socket')
  t.end()
})

t.test('what a person wrote wins', (t) => {
  const announced = ANNOUNCED
  const own = { nameservers: ['192.0.2.53'] }
  t.same(dns(t, { announced, conf: { dns: own } }), own, 'in the configuration')
  t.same(dns(t, { announced, conf: { dns: { search: ['corp.example'] } } }), {
    ...OURS,
    search: ['corp.example'],
  })
  t.same(dns(t, { announced, conf: { dns: { options: ['ndots:2'] } } }), { ...OURS, options: ['ndots:2'] })
  t.same(dns(t, { announced, prev: own }), {}, 'in an earlier plugin: its result is kept')
  t.same(dns(t, { announced, prev: { search: ['x.example'] } }), OURS)
  const runtimeConfig = { dns: { servers: ['192.0.2.54'], searches: ['pod.example'], options: ['rotate'] } }
  t.same(
    dns(t, { announced, conf: { dns: own, runtimeConfig } }),
    { nameservers: ['192.0.2.54'], search: ['pod.example'], options: ['rotate'] },
    'for this container',
  )
  t.same(dns(t, { announced, conf: { runtimeConfig: { dns: { servers: [], searches: [] } } } }), OURS)
  t.end()
})
