/** paths.tiers of flatnet.yaml: each tier has a switch and a timeout, and TLS to the gateways has none. */

import t from 'tap'
import { parseDaemonConf } from '../../../conf/daemon.ts'
import { DEFAULT_TIERS, SWITCHED_TIERS } from '../../../conf/tiers.ts'

const read = (tiers: string) => parseDaemonConf(`{ hostId: 1, paths: { tiers: ${tiers} } }`).paths.tiers

const problems = (tiers: string): readonly string[] => {
  try {
    read(tiers)
  } catch (err) {
    return (err as { problems: string[] }).problems
  }
  return []
}

t.test('all are used, with their times', async (t) => {
  t.same(read('{}'), DEFAULT_TIERS)
  t.same(SWITCHED_TIERS, ['ipv6', 'ipv4', 'ice', 'punch', 'relay', 'gossip'])
  t.same(DEFAULT_TIERS.ice, { enabled: true, timeoutMs: 10_000 })
  t.equal(DEFAULT_TIERS.gossip.timeoutMs, 24 * 3_600_000)
})

t.test('each by itself', async (t) => {
  const tiers = read('{ ipv4: { enabled: false }, punch: { timeoutMs: 2000 } }')
  t.same(tiers, {
    ...DEFAULT_TIERS,
    ipv4: { ...DEFAULT_TIERS.ipv4, enabled: false },
    punch: { enabled: true, timeoutMs: 2000 },
  })
})

t.test('key, value, way out', async (t) => {
  const table = {
    '{ ipv5: {} }': /^paths\.tiers\.ipv5 is \{\}: no such key; did you mean ipv[46]\?$/,
    '{ gateway: { enabled: false } }':
      /^paths\.tiers\.gateway is \{"enabled":false\}: must be left out, as TLS to the gateways is always used: all else falls back on it/,
    '{ ice: off }': /^paths\.tiers\.ice is "?(?:off|false)"?: must be an object/,
    '{ ice: { on: true } }': /^paths\.tiers\.ice\.on is true: no such key; known are enabled, timeoutMs$/,
    '{ ice: { enabled: maybe } }': /^paths\.tiers\.ice\.enabled is "maybe": must be true or false$/,
    '{ relay: { timeoutMs: 10 } }':
      /^paths\.tiers\.relay\.timeoutMs is 10: must be a whole number from 500 to 60000$/,
    '{ gossip: { timeoutMs: 86400001 } }':
      /^paths\.tiers\.gossip\.timeoutMs is 86400001: must be a whole number from 60000 to 86400000$/,
  }
  for (const [text, problem] of Object.entries(table)) t.match(problems(text), [problem], text)
})
