/** Doctor, under live containers: what each finding means for them, and what to do. */

import { howToStart } from '../../host/service.ts'
import { type Finding, fail, ok, warn } from '../check.ts'
import type { AttachedFacts, LiveLink } from './gather.ts'

const byGateway = (): string =>
  `the gateway puts it back within 30 s: ${howToStart()}; by hand: podman network reload --all`

const short = ({ containerId }: LiveLink): string => containerId.slice(0, 12)

/** The first three, so that a host with hundreds still has a report. */
function some<T>(all: readonly T[], name: (of: T) => string): string {
  const more = all.length > 3 ? ` and ${all.length - 3} more` : ''
  return `${all.slice(0, 3).map(name).join(', ')}${more}`
}

const count = ({ links }: AttachedFacts): string =>
  links.length === 1 ? '1 live container' : `${links.length} live containers`

function judgeBridge(f: AttachedFacts): Finding[] {
  if (f.bridgeFault === undefined) return []
  return [
    fail(
      'attached-bridge',
      `${f.bridge} ${f.bridgeFault}, and ${f.network} has ${count(f)}`,
      'they have addresses but no network, in either direction',
      byGateway(),
    ),
  ]
}

function judgeLinks(f: AttachedFacts): Finding[] {
  const gone = f.links.filter((link) => !link.isThere)
  // Without a bridge they are all outside; that is one finding.
  const astray =
    f.bridgeFault === 'is missing' ? [] : f.links.filter((l) => l.isThere && l.master !== f.bridge)
  const checks: Finding[] = []
  if (gone.length > 0) {
    checks.push(
      fail(
        'attached-link',
        `${f.network}: the host interface of ${some(gone, (l) => `${short(l)} (${l.ifname})`)} is gone`,
        'the container runs and has lost its network',
        `podman restart ${gone.map(short).join(' ')}`,
      ),
    )
  }
  if (astray.length > 0) {
    const placeOf = ({ master }: { readonly master: string | undefined }): string =>
      master === undefined ? 'in no bridge' : `in ${master}`
    checks.push(
      fail(
        'attached-port',
        `${f.network}: ${some(astray, (l) => `${l.ifname} of ${short(l)} is ${placeOf(l)}`)}, not in ${f.bridge}`,
        'the container has no network, in either direction',
        astray.map((l) => `ip link set ${l.ifname} master ${f.bridge} up`).join(' && '),
      ),
    )
  }
  return checks
}

function judgeRules(f: AttachedFacts): Finding[] {
  const missing = f.rulesMissing ?? []
  if (missing.length > 0) {
    return [
      fail(
        'attached-rules',
        `${f.network}: missing in nftables: ${missing.join('; ')}`,
        'its containers have no way out, or no published ports; another program flushed or edited the ruleset',
        // The gateway's repair looks at the mark, not at chains, so it does not notice.
        missing.some((what) => what.startsWith('the rules of'))
          ? `nft delete table inet flatnet; then ${byGateway()}`
          : byGateway(),
      ),
    ]
  }
  if (f.portsMissing.length === 0) return []
  return [
    fail(
      'attached-ports',
      `${f.network}: not published: ${some(f.portsMissing, String)}`,
      'nothing answers there, though a container asked for it',
      byGateway(),
    ),
  ]
}

/** Where rules are missing that is the finding. */
function judgeGuard(f: AttachedFacts): Finding[] {
  if ((f.rulesMissing ?? []).length > 0) return []
  if (f.isUnguardable) {
    return [
      warn(
        'attached-guard',
        `${f.network}: antiSpoof is on, and this kernel has no nftables for bridges`,
        "a container with CAP_NET_RAW can send with another one's address; all else works",
        'boot a kernel with CONFIG_NF_TABLES_BRIDGE, or set antiSpoof to false in the conflist',
      ),
    ]
  }
  const open = f.links.filter((link) => link.isThere && !link.isGuarded)
  if (open.length === 0) return []
  return [
    warn(
      'attached-guard',
      `${f.network}: ${some(open, (l) => `${short(l)} (${l.ifname})`)} can send with the addresses of others`,
      'an older release attached it, or another program flushed the ruleset; it works as before',
      byGateway(),
    ),
  ]
}

function judgeLoopback(f: AttachedFacts): Finding[] {
  if (!f.isLoopbackShut || f.bridgeFault === 'is missing') return []
  return [
    warn(
      'route-localnet',
      `net.ipv4.conf.${f.bridge}.route_localnet is not 1`,
      'published ports answer on every address of this host but 127.0.0.1',
      `sysctl -w net.ipv4.conf.${f.bridge.replaceAll('.', '/')}.route_localnet=1`,
    ),
  ]
}

export function judgeAttached(facts: readonly AttachedFacts[]): Finding[] {
  return facts.flatMap((f) => {
    const checks = [
      ...judgeBridge(f),
      ...judgeLinks(f),
      ...judgeRules(f),
      ...judgeGuard(f),
      ...judgeLoopback(f),
    ]
    const rules = f.rulesMissing === undefined ? '' : ', its ports and rules stand'
    return checks.length > 0 ? checks : [ok('attached', `${f.network}: ${count(f)} in ${f.bridge}${rules}`)]
  })
}
