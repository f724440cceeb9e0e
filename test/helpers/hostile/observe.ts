/** What hostile tests ask of a host: what arrived where, and what the ruleset dropped. */
import type { Machine } from '../kernel/machine.ts'
import { netnsProgram } from '../kernel/netns-programs.ts'
import { waitFor } from '../run/wait.ts'

/** Packets of a named counter of ours. */
export async function dropped(m: Machine, counter: string, family = 'inet'): Promise<number> {
  const text = await m.exec('nft', 'list', 'counter', family, 'flatnet', counter)
  return Number(/packets (\d+)/.exec(text)?.[1] ?? Number.NaN)
}

/**
 * Takes datagrams in a namespace, or on the host itself.
 * @returns all that it has got, as `<text> from <address>` lines
 */
export async function datagrams(m: Machine, netns: string | undefined, port: number): Promise<() => string> {
  const within = netns === undefined ? [] : ['ip', 'netns', 'exec', netns]
  const sink = await m.start([...within, ...netnsProgram('udp-sink', String(port))])
  await waitFor('datagrams are taken', 10_000, () => sink.log().includes('listening'))
  return () => sink.log()
}

export async function macOf(m: Machine, ifname: string, netns?: string): Promise<string> {
  const [link] = await m.json(
    'ip',
    '-j',
    ...(netns === undefined ? [] : ['-n', netns]),
    'link',
    'show',
    ifname,
  )
  return link.address
}
