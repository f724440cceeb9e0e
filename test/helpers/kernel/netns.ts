/** Private network namespaces for tests: made by `ip netns`, deleted by the test's teardown. Needs root. */
import { spawnSync } from 'node:child_process'
import type { Test } from 'tap'

/** For `t.test(name, { skip: needsRoot }, …)`: the reason to skip, or false for root. */
export const needsRoot: string | false = process.getuid?.() === 0 ? false : 'needs root (network namespaces)'

export interface Netns {
  /** As `ip netns` knows it, e.g. `ft-4711-0`. */
  readonly name: string
  /** `/run/netns/<name>`, fit for CNI_NETNS. */
  readonly path: string
  /** Runs a command inside and returns its stdout; throws with stderr when it does not exit with 0. */
  exec(command: string, ...args: string[]): string
  /** `exec` for commands that print JSON; no output is `[]`, since `ip -j` prints none for empty lists. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of foreign tools
  json<T = any>(command: string, ...args: string[]): T
  /** Deletes it now; the teardown then has nothing to do. Absent is fine. */
  remove(): void
}

let made = 0

/** Runs a command on the host, in the namespace of the test itself; throws with its stderr. */
export function run(command: string, args: readonly string[], input?: string): string {
  const done = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    ...(input !== undefined && { input }),
  })
  if (done.error) throw done.error
  if (done.status !== 0)
    throw new Error(`${command} ${args.join(' ')}: exit ${done.status ?? done.signal}: ${done.stderr.trim()}`)
  return done.stdout
}

/** Makes a namespace with `lo` down and nothing else in it. */
export async function netns(t: Pick<Test, 'teardown'>): Promise<Netns> {
  const name = `ft-${process.pid}-${made++}`
  run('ip', ['netns', 'add', name])
  const remove = () => {
    spawnSync('ip', ['netns', 'del', name])
  }
  t.teardown(remove)
  const exec = (command: string, ...args: string[]) => run('ip', ['netns', 'exec', name, command, ...args])
  return {
    name,
    path: `/run/netns/${name}`,
    exec,
    json: (command, ...args) => JSON.parse(exec(command, ...args).trim() || '[]'),
    remove,
  }
}
