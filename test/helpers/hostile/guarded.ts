/** What the ruleset lets leave the ports of a host's bridge. */
import { macOf, parseIpv4 } from '../../../core/addr.ts'
import type { Machine } from '../kernel/machine.ts'

/** Elements beyond those of whole blocks, whose group and MAC are made of the address: `<group> <MAC> <address>`. */
export async function extras(m: Machine): Promise<string[]> {
  const text = await m.exec('nft', 'list', 'set', 'bridge', 'flatnet', 'sources')
  return [...text.matchAll(/(\d+) \. (\S+) \. ([\d.]+)/g)].flatMap(([, group, mac, ip = '']) => {
    const address = parseIpv4(ip) ?? 0
    return Number(group) === address && mac === macOf(address) ? [] : [`${group} ${mac} ${ip}`]
  })
}

/** Device group of a host end. */
export async function groupOf(m: Machine, ifname: string): Promise<number> {
  const [link] = await m.json('ip', '-j', 'link', 'show', ifname)
  return link.group === 'default' ? 0 : Number(link.group) >>> 0
}
