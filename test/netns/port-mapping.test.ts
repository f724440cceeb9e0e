/** Port mappings by each protocol from a real router: made, renewed, deleted, refused. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import type { PortMappingProtocol } from '../../conf/port-mapping.ts'
import type { Answer } from '../../gateway/dataplane/nat/port-mapping/types.ts'
import { type Netns, needsRoot, netns } from '../helpers/kernel/netns.ts'
import { putBehindNat } from '../helpers/nat/nat-router.ts'
import { portMapper } from '../helpers/nat/port-mapper.ts'

interface Ask {
  readonly protocols: readonly PortMappingProtocol[]
  readonly lifetimeS: number
  readonly externalPort?: number
  readonly nonce?: string
  readonly ownAddress?: string
}

type Asked = (ask: Ask) => Promise<Answer & { readonly ms: number }>

/** One process in the host's namespace asks for all. */
function askerIn(t: Test, host: Netns): Asked {
  const program = [process.execPath, join(import.meta.dirname, '../helpers/nat/ask-router.ts')]
  const child = spawn('ip', ['netns', 'exec', host.name, ...program], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return async (ask) => {
    child.stdin.write(`${JSON.stringify(ask)}\n`)
    return JSON.parse((await lines.next()).value ?? 'null')
  }
}

async function switchboard(t: Test): Promise<Netns> {
  const lan = await netns(t)
  lan.exec('ip', 'link', 'add', 'lan', 'type', 'bridge')
  lan.exec('ip', 'link', 'set', 'lan', 'up')
  return lan
}

const HOUR_S = 3_600

t.test('port mappings', { skip: needsRoot, timeout: 60_000 }, async (t) => {
  const lan = await switchboard(t)
  const host = await netns(t)
  const { router, hostIp } = await putBehindNat(t, lan, host, 1, 'symmetric')
  const ask = askerIn(t, host)

  await t.test('a router that speaks nothing is found out', async (t) => {
    const answer = await ask({ protocols: ['pcp', 'nat-pmp'], lifetimeS: HOUR_S })
    t.match(answer, { refused: 'PCP: not spoken there, NAT-PMP: not spoken there', isDenied: false })
  })

  const mapper = await portMapper(t, router, 101)
  for (const protocol of ['pcp', 'nat-pmp', 'upnp'] as const)
    await t.test(`${protocol}: made, renewed, deleted`, async (t) => {
      const protocols = [protocol]
      const granted = { protocol, external: '11.0.0.101:7443', lifetimeS: HOUR_S }
      const first = await ask({ protocols, lifetimeS: HOUR_S })
      t.match(first, { granted })
      t.match(await ask({ protocols, lifetimeS: HOUR_S }), { granted })
      t.same(mapper.mappings(), [`7443 -> ${hostIp}:7443`], 'the kernel has one mapping')
      t.match(await ask({ protocols, lifetimeS: 0 }), { granted: { protocol, lifetimeS: 0 } })
      t.same(mapper.mappings(), [])
      t.comment(`${first.ms} ms`)
    })

  await t.test('UPnP: a port that another host has is passed over', async (t) => {
    host.exec('ip', 'addr', 'add', '192.168.1.3/24', 'dev', 'eth0')
    const one = { protocols: ['upnp'] } as const
    const other = { ...one, ownAddress: '192.168.1.3' }
    t.match(await ask({ ...one, lifetimeS: HOUR_S }), { granted: { external: '11.0.0.101:7443' } })
    t.match(await ask({ ...other, lifetimeS: HOUR_S }), { granted: { external: '11.0.0.101:7444' } })
    await ask({ ...one, lifetimeS: 0 })
    await ask({ ...other, lifetimeS: 0, externalPort: 7_444 })
    t.same(mapper.mappings(), [])
  })

  await t.test('PCP: only its maker deletes the mapping', async (t) => {
    const protocols = ['pcp'] as const
    await ask({ protocols, lifetimeS: HOUR_S })
    const stranger = await ask({ protocols, lifetimeS: 0, nonce: 'f'.repeat(24) })
    t.match(stranger, { refused: 'PCP: not allowed', isDenied: true })
    t.match(await ask({ protocols, lifetimeS: 0 }), { granted: { lifetimeS: 0 } })
  })

  await t.test('a router that cannot map is heard', async (t) => {
    host.exec('ip', 'link', 'del', 'eth0')
    const other = await putBehindNat(t, lan, host, 2, 'symmetric')
    await portMapper(t, other.router, 102, { isOutside: false })
    const answer = await ask({ protocols: ['pcp', 'nat-pmp', 'upnp'], lifetimeS: HOUR_S })
    t.match(answer, { refused: /^PCP: [a-z ]+, NAT-PMP: [a-z ]+, UPnP: [a-z ]+$/, isDenied: true })
    t.comment(answer)
  })
})
