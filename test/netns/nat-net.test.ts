/** The routers of the NAT tests behave as they are called, by the questions of RFC 5780. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { NatBehaviour } from '../../gateway/dataplane/nat/behaviour.ts'
import { type Netns, needsRoot, netns } from '../helpers/kernel/netns.ts'
import { type Behind, NAT_KINDS, type NatKind, putBehindNat } from '../helpers/nat/nat-router.ts'

const HELPERS = join(import.meta.dirname, '../helpers/nat')
const SERVER = ['192.0.2.1', '192.0.2.2', '3478', '3479'] as const

/** A namespace with the switch `lan` and a STUN server on it. */
async function internet(t: Test): Promise<Netns> {
  const lan = await netns(t)
  lan.exec('ip', 'link', 'add', 'lan', 'type', 'bridge')
  for (const ip of SERVER.slice(0, 2)) lan.exec('ip', 'addr', 'add', `${ip}/24`, 'dev', 'lan')
  lan.exec('ip', 'link', 'set', 'lan', 'up')
  const server = spawn(
    'ip',
    ['netns', 'exec', lan.name, process.execPath, join(HELPERS, 'stun-server.ts'), ...SERVER],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.teardown(() => server.kill('SIGKILL'))
  await once(server.stdout, 'data')
  return lan
}

/** What the host's own probe finds out; `{}`: the server does not answer. */
async function probe(host: Netns): Promise<Partial<NatBehaviour>> {
  const program = [process.execPath, join(HELPERS, 'nat-probe.ts'), `${SERVER[0]}:${SERVER[2]}`]
  const child = spawn('ip', ['netns', 'exec', host.name, ...program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  await once(child, 'close')
  return JSON.parse(stdout)
}

const independent = 'endpoint-independent'
const byPort = 'address-and-port-dependent'

/** RFC 4787's words for each kind; a carrier's NAT and a home's behind each other are as strict as the stricter. */
const MEANING: Readonly<
  Record<Exclude<NatKind, 'udpBlocked'>, { mapping: string; filtering: string; hairpin?: boolean }>
> = {
  cone: { mapping: independent, filtering: independent },
  addressRestricted: { mapping: independent, filtering: 'address-dependent' },
  portRestricted: { mapping: independent, filtering: byPort },
  symmetric: { mapping: byPort, filtering: byPort },
  cgnat: { mapping: independent, filtering: byPort },
  ipv6: { mapping: independent, filtering: byPort },
  hairpin: { mapping: independent, filtering: byPort, hairpin: true },
}

t.test('each kind of NAT behaves as it is called', { skip: needsRoot, timeout: 60_000 }, async (t) => {
  const lan = await internet(t)
  const placed: { readonly host: Netns; readonly behind: Behind }[] = []
  for (const [i, kind] of NAT_KINDS.entries()) {
    const host = await netns(t)
    placed.push({ host, behind: await putBehindNat(t, lan, host, i + 1, kind) })
  }
  const found = await Promise.all(placed.map(({ host }) => probe(host)))
  for (const [i, { behind }] of placed.entries()) {
    const { kind, publicIp } = behind
    if (kind === 'udpBlocked') t.same(found[i], {}, kind)
    else {
      t.match(found[i], { hairpin: false, ...MEANING[kind] }, kind)
      t.match(
        found[i]?.mapped,
        new RegExp(`^${publicIp.replaceAll('.', '\\.')}:\\d+$`),
        `${kind}: ${found[i]?.mapped}`,
      )
    }
  }
})
