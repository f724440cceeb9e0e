/** Compares what the gateways of several hosts show of the registry, and how each host is reached. */
import { isDeepStrictEqual } from 'node:util'
import type { HostState } from '../../../core/api.ts'
import { waitFor } from '../run/wait.ts'
import type { TestHost } from './hosts.ts'

export interface Table {
  /** `{ 2: "1764000000.7" }`: epoch and seq of each host's part. */
  readonly versions: Readonly<Record<number, string>>
  /** `["10.100.2.10/24 pear"]`, sorted. */
  readonly containers: readonly string[]
}

/** A host's table, without how hosts are reached, which each gateway judges for itself. */
export async function tableOf(host: TestHost): Promise<Table> {
  const [hosts, assignments] = await Promise.all([host.hosts(), host.assignments()])
  return {
    versions: Object.fromEntries(
      hosts.flatMap(({ hostId, version }) =>
        version === null ? [] : [[hostId, `${version.epoch}.${version.seq}`]],
      ),
    ),
    containers: assignments.map(({ ips, name }) => `${ips.join()} ${name}`).sort(),
  }
}

/** Waits until all hosts show one table, down to names, ports and times, and returns it. */
export async function equalTables(hosts: readonly TestHost[], timeoutMs: number): Promise<Table> {
  const whole = async (host: TestHost) => ({
    table: await tableOf(host),
    records: (await host.assignments())
      .map(({ hostState, ...record }) => record)
      .sort((a, b) => String(a.ips).localeCompare(String(b.ips))),
  })
  let last: unknown
  try {
    return await waitFor('all tables are equal', timeoutMs, async () => {
      const [first, ...others] = await Promise.all(hosts.map(whole))
      last = [first?.table, ...others.map((o) => o.table)]
      return others.every((other) => isDeepStrictEqual(other, first)) ? first?.table : undefined
    })
  } catch (cause) {
    throw new Error(`tables differ: ${JSON.stringify(last)}`, { cause })
  }
}

/** How a gateway marks another host's containers; undefined: it shows none. */
export async function markOf(at: TestHost, hostId: number): Promise<HostState | undefined> {
  const states = new Set((await at.assignments()).filter((a) => a.hostId === hostId).map((a) => a.hostState))
  if (states.size > 1)
    throw new Error(`host ${at.index} marks host ${hostId} as ${[...states].join(' and ')}`)
  return [...states][0]
}

/** Waits until all hosts mark the containers of `hostId` this way. @returns how many ms that took */
export async function marked(
  hosts: readonly TestHost[],
  hostId: number,
  state: HostState,
  timeoutMs: number,
): Promise<number> {
  const from = performance.now()
  await waitFor(`host ${hostId} is ${state} everywhere`, timeoutMs, async () => {
    const marks = await Promise.all(hosts.map((h) => markOf(h, hostId)))
    return marks.every((mark) => mark === state)
  })
  return performance.now() - from
}
