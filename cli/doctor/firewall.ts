/**
 * Doctor, the packet filter: our table, and other tables that drop what we forward.
 *
 * A drop in any table wins.
 */

import { type Host, runJson } from '../host/host.ts'
import { type Finding, fail, hostCheck, ok, warn } from './check.ts'

// biome-ignore lint/suspicious/noExplicitAny: the JSON schema of libnftables is open
type NftObject = Record<string, any>

export interface FirewallFacts {
  /** e.g. `1.0.6`; undefined without nft. */
  readonly nftVersion: string | undefined
  /** `nft -j list ruleset`; undefined when it cannot be read. */
  readonly ruleset: readonly NftObject[] | undefined
  /** `iptables-legacy -S`, where those tables are loaded. */
  readonly legacyRules: string
  readonly bridgeNfCallIptables: boolean
  readonly supernets: readonly string[]
  readonly bridges: readonly string[]
  /** Name of the set that marks the version of the ruleset in this executable, e.g. `version_1`. */
  readonly versionSet: string
}

export function gatherFirewall(
  host: Host,
  networks: { readonly supernets: readonly string[]; readonly bridges: readonly string[] },
  nftTemplate: string,
): FirewallFacts {
  const nftVersion = host.run('nft', ['--version'])?.stdout.match(/v(\d[\d.]*)/)?.[1]
  const legacy = (host.read('/proc/net/ip_tables_names') ?? '').includes('filter')
  return {
    nftVersion,
    ruleset: runJson<{ nftables: NftObject[] }>(host, 'nft', '-j', 'list', 'ruleset')?.nftables,
    legacyRules: legacy ? (host.run('iptables-legacy', ['-S'])?.stdout ?? '') : '',
    bridgeNfCallIptables: host.read('/proc/sys/net/bridge/bridge-nf-call-iptables')?.trim() === '1',
    ...networks,
    versionSet: nftTemplate.match(/set (version_\w+)/)?.[1] ?? 'version_2',
  }
}

function judgeTable(f: FirewallFacts): Finding[] {
  if (f.nftVersion === undefined) {
    return [
      fail(
        'nft',
        'nft is not installed',
        'the first container start after a boot loads our ruleset with it, and fails',
        'apt-get install nftables',
      ),
    ]
  }
  if (f.ruleset === undefined) {
    return [
      warn('nft', 'nft cannot list the ruleset', 'nothing can be said about firewalls', 'run this as root'),
    ]
  }
  const sets = f.ruleset.flatMap((o) =>
    o['set']?.family === 'inet' && o['set'].table === 'flatnet' ? [String(o['set'].name)] : [],
  )
  const hasTable = f.ruleset.some((o) => o['table']?.family === 'inet' && o['table'].name === 'flatnet')
  const nft = ok('nft', `nft ${f.nftVersion}`)
  if (!hasTable) {
    return [nft, ok('nft-table', 'table inet flatnet is not loaded; the next container start loads it')]
  }
  if (sets.includes(f.versionSet))
    return [nft, ok('nft-table', `table inet flatnet is there, ${f.versionSet}`)]
  return [
    nft,
    warn(
      'nft-table',
      `table inet flatnet is of another version (${sets.find((s) => s.startsWith('version_')) ?? 'none'})`,
      'the next container start replaces it; rules of this version do not hold until then',
      'start any container on the network, or restart the gateway',
    ),
  ]
}

interface Blocker {
  /** e.g. `ip filter FORWARD`. */
  readonly chain: string
  readonly how: string
  /** Also sees packets between two ports of one bridge when br_netfilter passes them up. */
  readonly isIptables: boolean
  readonly fix: string
}

const nets = (f: FirewallFacts): readonly string[] =>
  f.supernets.length > 0 ? f.supernets : ['10.100.0.0/16']

/** True when a rule of the chain accepts the network: the fix was applied before. */
function isAccepted(rules: readonly NftObject[], net: string): boolean {
  const [addr = '', len = '32'] = net.split('/')
  return rules.some((rule) => {
    const text = JSON.stringify(rule['expr'] ?? [])
    return (
      text.includes('"accept"') &&
      text.includes(`"${addr}"`) &&
      (text.includes(`"len":${len}`) || len === '32')
    )
  })
}

function fixFor(f: FirewallFacts, c: NftObject, hasDockerUser: boolean): string {
  if (c['table'] === 'firewalld') {
    return f.bridges
      .map((b) => `firewall-cmd --permanent --zone=trusted --add-interface=${b}`)
      .join(' && ')
      .concat(' && firewall-cmd --reload')
  }
  if (c['family'] === 'ip' && c['table'] === 'filter') {
    const chain = hasDockerUser ? 'DOCKER-USER' : 'FORWARD'
    return nets(f)
      .map((n) => `iptables -I ${chain} -s ${n} -j ACCEPT && iptables -I ${chain} -d ${n} -j ACCEPT`)
      .join(' && ')
  }
  const rule = (what: string, n: string): string =>
    `nft insert rule ${c['family']} ${c['table']} ${c['name']} ip ${what} ${n} accept`
  return nets(f)
    .map((n) => `${rule('saddr', n)} && ${rule('daddr', n)}`)
    .join(' && ')
}

/** The last rule of a chain drops or refuses all: firewalld ends its chains so, with an accepting policy. */
function endsInRefusal(rules: readonly NftObject[]): boolean {
  const last = rules.at(-1)?.['expr']
  return (
    Array.isArray(last) &&
    last.length > 0 &&
    last.every((e) => 'drop' in e || 'reject' in e || 'counter' in e)
  )
}

export function findBlockers(f: FirewallFacts): Blocker[] {
  const all = f.ruleset ?? []
  const rulesOf = (c: NftObject): NftObject[] =>
    all.flatMap((o) => {
      const r = o['rule']
      return r?.family === c['family'] && r.table === c['table'] && r.chain === c['name'] ? [r] : []
    })
  const docker = all.flatMap((o) =>
    o['chain']?.name === 'DOCKER-USER' && o['chain'].family === 'ip' ? [o['chain']] : [],
  )
  const blockers = all.flatMap((o): Blocker[] => {
    const c = o['chain']
    if (c?.hook !== 'forward' || !['ip', 'inet'].includes(c.family) || c.table === 'flatnet') return []
    const refuses =
      c.policy === 'drop' ? 'has policy drop' : endsInRefusal(rulesOf(c)) ? 'ends by refusing all' : undefined
    if (refuses === undefined) return []
    const rules = [...rulesOf(c), ...(c.table === 'filter' ? docker.flatMap(rulesOf) : [])]
    if (nets(f).every((net) => isAccepted(rules, net))) return []
    const isIptables = c.family === 'ip' && c.table === 'filter'
    const chain = `${c.family} ${c.table} ${c.name}`
    return [{ chain, how: refuses, isIptables, fix: fixFor(f, c, isIptables && docker.length > 0) }]
  })
  return [...blockers, ...legacyBlocker(f)]
}

function legacyBlocker(f: FirewallFacts): Blocker[] {
  if (!/^-P FORWARD DROP$/m.test(f.legacyRules)) return []
  if (nets(f).every((n) => f.legacyRules.includes(`-s ${n} -j ACCEPT`))) return []
  const fix = nets(f).map(
    (n) => `iptables-legacy -I FORWARD -s ${n} -j ACCEPT && iptables-legacy -I FORWARD -d ${n} -j ACCEPT`,
  )
  return [
    { chain: 'iptables-legacy FORWARD', how: 'has policy DROP', isIptables: true, fix: fix.join(' && ') },
  ]
}

export function judgeFirewall(f: FirewallFacts): Finding[] {
  const blockers = findBlockers(f)
  const checks = judgeTable(f)
  for (const b of blockers) {
    checks.push(
      fail(
        'forward-drop',
        `chain ${b.chain} ${b.how}`,
        'packets of containers are dropped there although our own table accepts them; Docker, ufw and firewalld do so',
        b.fix,
      ),
    )
  }
  if (blockers.length === 0 && f.ruleset !== undefined)
    checks.push(ok('forward-drop', 'no other firewall drops forwarded packets'))
  if (f.bridgeNfCallIptables && blockers.some((b) => b.isIptables)) {
    checks.push(
      fail(
        'bridge-nf',
        'br_netfilter sends packets between two containers of one bridge through that chain too',
        'even containers on the same host cannot reach each other',
        'the rules above, or sysctl -w net.bridge.bridge-nf-call-iptables=0 where Kubernetes does not need it',
      ),
    )
  }
  return checks
}

export const check = hostCheck({
  name: 'firewall',
  gather: ({ host, supernets, bridges, nftTemplate }) =>
    gatherFirewall(host, { supernets, bridges }, nftTemplate),
  judge: judgeFirewall,
})
