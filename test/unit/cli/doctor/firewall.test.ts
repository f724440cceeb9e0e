/** Doctor's judge of firewalls: what drops forwarded packets, and the exact rule that lets ours through. */
import t from 'tap'
import {
  type FirewallFacts,
  findBlockers,
  gatherFirewall,
  judgeFirewall,
} from '../../../../cli/doctor/firewall.ts'
import { nftTemplate } from '../../../../conf/templates.ts'
import { fakeHost } from '../../../helpers/gateway/fake-host.ts'

const chain = (family: string, table: string, name: string, policy: string) => ({
  chain: { family, table, name, type: 'filter', hook: 'forward', prio: 0, policy },
})
const rule = (family: string, table: string, chainName: string, ...expr: object[]) => ({
  rule: { family, table, chain: chainName, expr },
})
const from = (addr: string, len: number) => ({
  match: {
    op: '==',
    left: { payload: { protocol: 'ip', field: 'saddr' } },
    right: { prefix: { addr, len } },
  },
})
const ours = [
  { table: { family: 'inet', name: 'flatnet' } },
  { set: { family: 'inet', table: 'flatnet', name: 'version_5' } },
  chain('inet', 'flatnet', 'forward', 'accept'),
]
const well: FirewallFacts = {
  nftVersion: '1.0.6',
  ruleset: ours,
  legacyRules: '',
  bridgeNfCallIptables: false,
  supernets: ['10.100.0.0/16'],
  bridges: ['flatnet0'],
  versionSet: 'version_5',
}

const docker = [
  chain('ip', 'filter', 'FORWARD', 'drop'),
  { chain: { family: 'ip', table: 'filter', name: 'DOCKER-USER' } },
]
const cases: readonly [name: string, change: Partial<FirewallFacts>, blocked: RegExp | undefined][] = [
  ['our table alone', {}, undefined],
  [
    'iptables with policy ACCEPT',
    { ruleset: [...ours, chain('ip', 'filter', 'FORWARD', 'accept')] },
    undefined,
  ],
  [
    'ufw: policy DROP',
    { ruleset: [...ours, chain('ip', 'filter', 'FORWARD', 'drop')] },
    /^iptables -I FORWARD -s 10\.100\.0\.0\/16 -j ACCEPT && iptables -I FORWARD -d/,
  ],
  [
    'Docker: policy DROP and its user chain',
    { ruleset: [...ours, ...docker] },
    /^iptables -I DOCKER-USER -s/,
  ],
  [
    'Docker, already let through',
    {
      ruleset: [
        ...docker,
        rule('ip', 'filter', 'DOCKER-USER', from('10.100.0.0', 16), { counter: {} }, { accept: null }),
      ],
    },
    undefined,
  ],
  [
    'another network let through',
    { ruleset: [...docker, rule('ip', 'filter', 'DOCKER-USER', from('10.200.0.0', 16), { accept: null })] },
    /DOCKER-USER/,
  ],
  [
    'firewalld ends its chain with a reject',
    {
      ruleset: [
        chain('inet', 'firewalld', 'filter_FORWARD', 'accept'),
        rule('inet', 'firewalld', 'filter_FORWARD', { reject: {} }),
      ],
    },
    /^firewall-cmd --permanent --zone=trusted --add-interface=flatnet0 && firewall-cmd --reload$/,
  ],
  [
    'a table of the administrator',
    { ruleset: [chain('inet', 'fw', 'fwd', 'drop')] },
    /^nft insert rule inet fw fwd ip saddr 10\.100\.0\.0\/16 accept && /,
  ],
  ['IPv6 only', { ruleset: [chain('ip6', 'filter', 'FORWARD', 'drop')] }, undefined],
  [
    'iptables-legacy',
    { legacyRules: '-P INPUT ACCEPT\n-P FORWARD DROP\n' },
    /^iptables-legacy -I FORWARD -s/,
  ],
]
for (const [name, change, fix] of cases) {
  t.test(name, async (t) => {
    const blockers = findBlockers({ ...well, ...change })
    if (fix === undefined) t.same(blockers, [])
    else t.match(blockers[0]?.fix, fix)
  })
}

t.test('br_netfilter matters where iptables drops', async (t) => {
  const ids = (change: Partial<FirewallFacts>) =>
    judgeFirewall({ ...well, ...change, bridgeNfCallIptables: true })
      .filter((c) => c.state !== 'ok')
      .map((c) => c.id)
  t.same(ids({}), [])
  t.same(ids({ ruleset: docker }), ['forward-drop', 'bridge-nf'])
})

t.test('our own table', async (t) => {
  const check = (change: Partial<FirewallFacts>) =>
    judgeFirewall({ ...well, ...change }).find((c) => c.state !== 'ok')
  t.match(check({ nftVersion: undefined }), { id: 'nft', state: 'fail' })
  t.match(check({ ruleset: undefined }), { id: 'nft', state: 'warn' })
  t.match(check({ versionSet: 'version_6' }), { id: 'nft-table', state: 'warn', what: /version_5/ })
  t.equal(check({ ruleset: [] }), undefined, 'absent before the first container')
})

t.test('facts come from nft', async (t) => {
  const host = fakeHost({
    files: { '/proc/net/ip_tables_names': 'filter\n', '/proc/sys/net/bridge/bridge-nf-call-iptables': '1\n' },
    programs: {
      'nft --version': 'nftables v1.0.6 (Lester Gooch #5)\n',
      'nft -j list ruleset': JSON.stringify({ nftables: ours }),
      'iptables-legacy -S': '-P FORWARD DROP\n',
    },
  })
  const facts = gatherFirewall(host, { supernets: [], bridges: [] }, nftTemplate())
  t.match(facts, { nftVersion: '1.0.6', ruleset: ours, legacyRules: /DROP/, bridgeNfCallIptables: true })
  t.match(facts.versionSet, /^version_\d+$/)
})
