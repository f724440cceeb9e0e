/**
 * Whole hosts for tests: network namespaces on one switch, each with its own folders and the built executable as
 * command line and gateway.
 *
 * The test kills, restarts, cuts off and heals them. They end with the test.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Netns, netns, run } from '../kernel/netns.ts'
import { oncePerRun } from '../run/once-per-run.ts'
import { waitFor } from '../run/wait.ts'
import { keepFolder, placeFolder } from './host-folder.ts'
import { EXECUTABLE, NetnsHost, type TestHost } from './test-host.ts'

export type { ExecOptions, Ran } from './execute.ts'
export type { TestHost } from './test-host.ts'

export interface TestNet {
  /** The namespace with the switch, the bridge `lan`. */
  readonly lan: Netns
  readonly hosts: readonly TestHost[]
  host(index: number): TestHost
  /** Drops every packet between the two, both ways and without a reject. Existing connections hang. */
  cut(a: number, b: number): void
  heal(a: number, b: number): void
  /** Cuts this host off from all others. */
  isolate(index: number): void
  /** Heals all cuts. */
  healAll(): void
}

export interface HostsOptions {
  /** How many more machines to put on the switch, which are in no cluster. */
  readonly spare?: number
  /** Turns on direct UDP paths, as in a fresh installation. Default false: the test is about the gateway path. */
  readonly p2p?: boolean
  /** Changes the network before the gateways start; then only links to host 1 are waited for. */
  readonly arrange?: (net: TestNet) => Promise<void>
}

let nets = 0

/** Drops what a cut pair sends, both ways, at the end that has the chain, without a reject. */
const CUT_TABLE = `table inet cut {
  set peers { type ipv4_addr; }
  chain in { type filter hook input priority -300; ip saddr @peers drop; }
  chain out { type filter hook output priority -300; ip daddr @peers drop; }
}`

/** Makes `count` hosts on one switch, from 192.0.2.1 on, without installing or starting anything. Needs root. */
export async function hosts(t: Pick<Test, 'teardown'>, count: number): Promise<TestNet> {
  if (!existsSync(EXECUTABLE)) throw new Error(`no ${EXECUTABLE}: npm run build`)
  const net = `${process.pid}-${nets++}`
  const made: NetnsHost[] = []
  // Short, since the path of a socket has a limit.
  const dir = mkdtempSync(join(tmpdir(), 'fth-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }))
  const lan = await netns(t)
  lan.exec('ip', 'link', 'add', 'lan', 'type', 'bridge')
  lan.exec('ip', 'link', 'set', 'lan', 'up')
  for (let index = 1; index <= count; index++) {
    const ns = await netns(t)
    const ip = `192.0.2.${index}`
    const port = `p${index}`
    lan.exec('ip', 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns.name)
    lan.exec('ip', 'link', 'set', port, 'master', 'lan', 'up')
    ns.exec('ip', 'link', 'set', 'lo', 'up')
    ns.exec('ip', 'addr', 'add', `${ip}/24`, 'dev', 'eth0')
    ns.exec('ip', 'link', 'set', 'eth0', 'up')
    run('ip', ['netns', 'exec', ns.name, 'nft', '-f', '-'], CUT_TABLE)
    made.push(new NetnsHost(index, ip, ns, join(dir, String(index))))
  }
  // Teardowns run in reverse order: processes end before their namespaces lose their names.
  t.teardown(() => Promise.all(made.map((h) => h.endAll())))
  const host = (index: number): NetnsHost => {
    const found = made[index - 1]
    if (found === undefined) throw new Error(`net ${net} has no host ${index}`)
    return found
  }
  const change = (verb: 'add' | 'delete', a: number, b: number): void => {
    const element = `{ ${host(b).ip} }`
    host(a).ns.exec('nft', verb, 'element', 'inet', 'cut', 'peers', element)
  }
  const cuts = new Set<string>()
  const heal = (a: number, b: number): void => {
    if (cuts.delete(`${Math.min(a, b)} ${Math.max(a, b)}`)) change('delete', Math.min(a, b), Math.max(a, b))
  }
  const cut = (a: number, b: number): void => {
    const key = `${Math.min(a, b)} ${Math.max(a, b)}`
    if (cuts.has(key)) return
    cuts.add(key)
    change('add', Math.min(a, b), Math.max(a, b))
  }
  return {
    lan,
    hosts: made,
    host,
    cut,
    heal,
    isolate(index) {
      for (const other of made) if (other.index !== index) cut(index, other.index)
    },
    healAll() {
      for (const key of [...cuts]) {
        const [a = 0, b = 0] = key.split(' ').map(Number)
        heal(a, b)
      }
    },
  }
}

/** The token that `flatnet token` prints. */
export async function tokenOf(admitting: TestHost, ...args: string[]): Promise<string> {
  const line = (await admitting.ok('token', ...args)).trim()
  const [, token] = /^flatnet join (\S+)$/.exec(line) ?? []
  if (token === undefined) throw new Error(`flatnet token printed: ${line}`)
  return token
}

/** What a test provides; the runner prints set-up times from its `comment`. */
type Setup = Pick<Test, 'teardown'> & Partial<Pick<Test, 'comment'>>

/** Runs a set-up and reports how long it took. */
async function timed<T>(t: Setup, make: () => Promise<T>): Promise<T> {
  const began = performance.now()
  try {
    return await make()
  } finally {
    t.comment?.(`setup: ${Math.round(performance.now() - began)} ms`)
  }
}

/** Runs `flatnet init` on host 1, `flatnet token` and `flatnet join` for the others in order, and links all hosts. */
async function joinByCommands(net: TestNet, count: number): Promise<void> {
  const first = net.host(1)
  await first.ok('init', '--cluster', 'testing', '--name', 'h1')
  await first.start()
  const starting: Promise<void>[] = []
  const members = net.hosts.slice(0, count)
  for (const host of members.slice(1)) {
    await host.ok('join', await tokenOf(first), '--name', `h${host.index}`)
    starting.push(host.start())
  }
  await Promise.all(starting)
  await allLinked({ hosts: members })
}

/** For the tests of joining: every host joined by the command line, as an operator would do it. */
export function joinedByCommands(t: Setup, count: number): Promise<TestNet> {
  return timed(t, async () => {
    const net = await hosts(t, count)
    await joinByCommands(net, count)
    return net
  })
}

/**
 * Makes the folders of `count` hosts that have joined, without logs and without what gateways learned. Only host 1 runs
 * meanwhile; the others get its list of members, as they would from its gateway.
 */
function preparedFolders(count: number): Promise<string> {
  return oncePerRun(`cluster-${count}-${Math.round(statSync(EXECUTABLE).mtimeMs)}`, async (folder) => {
    const teardowns: (() => unknown)[] = []
    try {
      const net = await hosts({ teardown: (fn: () => unknown) => void teardowns.push(fn) } as Setup, count)
      const first = net.host(1)
      await first.ok('init', '--cluster', 'testing', '--name', 'h1')
      await first.start()
      for (const host of net.hosts.slice(1))
        await host.ok('join', await tokenOf(first), '--name', `h${host.index}`)
      await first.stop()
      const members = join(first.dataDir, 'cluster/members.json')
      for (const host of net.hosts) {
        if (host !== first) copyFileSync(members, join(host.dataDir, 'cluster/members.json'))
        keepFolder(host.dir, join(folder, String(host.index)))
      }
    } finally {
      for (const teardown of teardowns.toReversed()) await teardown()
    }
  })
}

/** Makes hosts whose gateways run: host 1 admits, the others are members, and all links are up. */
export function joinedHosts(
  t: Setup,
  count: number,
  { spare = 0, p2p = false, arrange }: HostsOptions = {},
): Promise<TestNet> {
  return timed(t, async () => {
    const [prepared, net] = await Promise.all([preparedFolders(count), hosts(t, count + spare)])
    const members = net.hosts.slice(0, count)
    for (const host of members) {
      placeFolder(join(prepared, String(host.index)), host.dir, (conf) =>
        conf.replace(/(?<=^p2p:\n {2}enabled: )true$/m, String(p2p)),
      )
    }
    await arrange?.(net)
    await Promise.all(members.map((host) => host.start()))
    if (arrange === undefined) await allLinked({ hosts: members })
    else await linkedTo(net.host(1), count)
    return net
  })
}

/** Waits until that host has a link to each of the `count` hosts. */
const linkedTo = (host: TestHost, count: number): Promise<unknown> =>
  waitFor(`all hosts have a link to host ${host.index}`, 30_000, async () => {
    const up = await host.linksUp()
    return up.length === count - 1
  })

/** Waits until every host of the net has a control link to every other. */
export async function allLinked(net: Pick<TestNet, 'hosts'>, timeoutMs = 30_000): Promise<void> {
  await waitFor('all hosts are linked', timeoutMs, async () => {
    const up = await Promise.all(net.hosts.map((h) => h.linksUp()))
    return up.every((ids) => ids.length === net.hosts.length - 1)
  })
}
