/**
 * Strangers that connect and say nothing take the place of no newcomer, no member and no client of the API; a local
 * user finds no token in the list of processes.
 */
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import { hosts, type TestHost, tokenOf } from '../helpers/cluster/hosts.ts'
import { silentStrangers } from '../helpers/hostile/silent-strangers.ts'
import { needsRoot, run } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** What a newcomer with a good token may need more than one that comes alone. */
const MORE_MS = 5_000

/** Command lines of all that runs in the host's namespace, as `ps` shows them to every user. */
const processes = ({ ns }: TestHost): string[] =>
  run('ip', ['netns', 'pids', ns.name])
    .split('\n')
    .map((pid) => `/proc/${pid.trim()}/cmdline`)
    .flatMap((file) => (existsSync(file) ? [readFileSync(file, 'utf8').replaceAll('\0', ' ')] : []))

/** Joins, and returns what of its process others saw while it did. */
async function joinSeen(host: TestHost, token: string, by: 'argument' | 'standard input'): Promise<string> {
  const rest = ['--name', `h${host.index}`]
  const joined =
    by === 'argument'
      ? host.flatnet('join', token, ...rest)
      : host.flatnetWith({ input: token }, 'join', ...rest)
  const seen = await waitFor(`host ${host.index} is seen to join`, 10_000, () =>
    processes(host).find((line) => line.includes(' join ')),
  )
  const { rc, stderr } = await joined
  if (rc !== 0) throw new Error(stderr)
  return seen
}

t.test(
  'a host that admits others, and strangers at two addresses',
  { skip: needsRoot, timeout: 300_000 },
  async (t) => {
    const net = await hosts(t, 6)
    const [one, two, three, four, five, six] = [1, 2, 3, 4, 5, 6].map((n) => net.host(n)) as [
      ...typeof net.hosts,
    ]
    const peers = `${one!.ip}:7443`
    await one!.ok('init', '--cluster', 'testing', '--name', 'h1')
    await one!.start()
    const joinMs = async (host: typeof one): Promise<number> => {
      const token = await tokenOf(one!)
      const began = performance.now()
      await host!.ok('join', token, '--name', `h${host!.index}`)
      return performance.now() - began
    }
    const aloneMs = await joinMs(two)

    const near = await silentStrangers(three!, 'join', peers, 70)
    const far = await silentStrangers(two!, 'join', peers, 70)
    t.ok((await near.closed()) > 0, 'the oldest of the strangers have made room')
    t.ok((await joinMs(three)) < aloneMs + MORE_MS, 'a newcomer at the address of the strangers gets in')
    t.ok((await joinMs(four)) < aloneMs + MORE_MS, 'and one at an address of its own')
    near.end()
    far.end()

    const token = await tokenOf(one!)
    t.notMatch(await joinSeen(five!, token, 'standard input'), token, 'a token that was piped is not seen')
    const other = await tokenOf(one!)
    t.match(await joinSeen(six!, other, 'argument'), other, 'one on the command line is')

    const mute = await silentStrangers(three!, 'tcp', peers, 300)
    await three!.start()
    await waitFor('host 3 is linked past connections without a handshake', 10_000, async () =>
      (await one!.linksUp()).includes(3),
    )
    mute.end()

    const local = await silentStrangers(one!, 'unix', one!.socket, 300)
    t.match(await one!.api('/v1/status'), { hostId: 1 }, 'the API answers')
    t.equal((await one!.flatnet('status')).rc, 0, 'and the command line with it')
    t.ok((await local.closed()) >= 100, 'the oldest of its silent clients have made room')
  },
)
