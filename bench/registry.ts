/**
 * Claim: how soon all hosts see a change on one of them, with three whole hosts and the built executable.
 *
 * Measured from just before the POST or DELETE at host 1 until both other hosts have sent it to readers of
 * `GET /v1/events`.
 */

import { joinedHosts } from '../test/helpers/cluster/hosts.ts'
import { followEvents, type Seen } from '../test/helpers/gateway/event-stream.ts'
import { waitFor } from '../test/helpers/run/wait.ts'
import { type Claim, figure, quantile } from './stats.ts'

/** The announcement of a container that ADD has just made. */
const assignment = (n: number) => ({
  network: 'flatnet',
  containerId: `bench-${n}`,
  ifname: 'eth0',
  hostId: 1,
  ips: [`10.100.1.${10 + (n % 200)}/24`],
  mac: '0a:64:0a:64:01:0a',
  name: `bench-${n}`,
  aliases: [],
  ports: [],
  httpPort: 80,
  createdAt: new Date().toISOString(),
})

export async function benchRegistry(isQuick: boolean): Promise<Claim> {
  const teardowns: (() => unknown)[] = []
  const t = { teardown: (fn: () => unknown) => void teardowns.push(fn) } as Parameters<typeof joinedHosts>[0]
  try {
    const net = await joinedHosts(t, 3)
    const one = net.host(1)
    const others = [net.host(2), net.host(3)]
    const streams = await Promise.all(others.map((host) => followEvents(t, host)))
    const seen = async (type: string, containerId: string): Promise<number> => {
      const isIt = ({ event }: Seen): boolean =>
        event.type === type && 'assignment' in event && event.assignment.containerId === containerId
      const found = await waitFor(`all have seen ${type} of ${containerId}`, 5_000, () => {
        const events = streams.map((stream) => stream.findLast(isIt))
        return events.every((event) => event !== undefined) ? events : undefined
      })
      return Math.max(...found.map(({ at }) => at))
    }
    const times: number[] = []
    const change = async (type: string, containerId: string, ask: () => Promise<unknown>): Promise<void> => {
      const from = performance.now()
      await ask()
      times.push((await seen(type, containerId)) - from)
    }
    for (let n = 0; n < (isQuick ? 10 : 100); n++) {
      const made = assignment(n)
      const { containerId } = made
      const path = `/v1/assignments/flatnet/${containerId}/eth0`
      await change('assignmentAdded', containerId, () => one.api('/v1/assignments', made))
      await change('assignmentRemoved', containerId, () => one.api(path, undefined, 'DELETE'))
    }
    const all = figure('a change on one host seen by two others', times)
    const slowest = figure('the slowest hundredth of them', [quantile(times, 0.99)])
    return {
      title: 'A change on one host, seen by all others',
      figures: [all, slowest],
      rows: [
        { what: 'change seen by all, 3 hosts', value: all.value, unit: 'ms', bound: 100, aim: 20 },
        { what: 'change seen by all, 3 hosts, p99', value: slowest.value, unit: 'ms', bound: 100 },
      ],
    }
  } finally {
    for (const teardown of teardowns.reverse()) await teardown()
  }
}
