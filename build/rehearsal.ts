/**
 * Runs ADD and DEL during the build, so that V8 knows which functions of the bundle they run.
 *
 * Only in a network namespace of its own (build/build.ts: unshare); it writes only into the folder that it is given.
 */

import { closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CLONE_NEWNET, setns, unshare } from 'netlink-ts/libc.ts'
import { AF_INET, addrAddRequest } from 'netlink-ts/route/addr.ts'
import { linkByName, vethAddRequest } from 'netlink-ts/route/link.ts'
import { routeAddRequest } from 'netlink-ts/route/route.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import type { Env } from '../plugin/env.ts'

type Verbs = typeof import('./verbs.ts')

const PORT = { hostPort: 18_080, containerPort: 80, protocol: 'tcp' }

/** The shipped conflist's entry, without a gateway. */
const configuration = (dir: string, portMappings: readonly object[]): string =>
  JSON.stringify({
    cniVersion: '1.0.0',
    name: 'flatnet',
    type: 'flatnet',
    bridge: 'flatnet0',
    ipam: { type: 'flatnet', hostId: 1, supernet: '10.100.0.0/16', hostPrefix: 24 },
    dataDir: join(dir, 'data'),
    registrar: { endpoint: `unix://${dir}/none.sock`, timeoutMs: 100 },
    runtimeConfig: { portMappings },
  })

/** A container with a port and one without. @throws {Error} when a verb fails; its error object is on stdout */
export async function rehearse({ runVerb }: Pick<Verbs, 'runVerb'>, dir: string): Promise<void> {
  for (const ports of [[PORT], []]) {
    writeFileSync(join(dir, 'stdin'), configuration(dir, ports))
    const container = namespace()
    const env = { containerId: 'rehearsal', netns: `/proc/self/fd/${container}`, ifname: 'eth0', args: '' }
    await expectSuccess(runVerb, { verb: 'ADD', ...env }, dir)
    await expectSuccess(runVerb, { verb: 'DEL', ...env }, dir)
    closeSync(container)
  }
}

/** A way out, as a host has one: ADD asks for its MTU. TEST-NET-2 (RFC 5737). */
export function uplink(): void {
  using socket = NetlinkSocket.open(NETLINK_ROUTE)
  socket.execute(vethAddRequest({ name: 'uplink', up: true, peer: { name: 'router' } }))
  const index = linkByName(socket, 'uplink')?.index
  if (index === undefined) throw new Error('the rehearsal has no uplink')
  const address = Uint8Array.of(198, 51, 100, 2)
  socket.execute(addrAddRequest({ index, family: AF_INET, address, prefixLen: 30 }))
  socket.execute(routeAddRequest({ family: AF_INET, gateway: Uint8Array.of(198, 51, 100, 1), oif: index }))
}

async function expectSuccess(runVerb: Verbs['runVerb'], env: Env, dir: string): Promise<void> {
  // The lowest free descriptor, which is stdin.
  closeSync(0)
  openSync(join(dir, 'stdin'), 'r')
  if ((await runVerb(env)) !== 0) throw new Error(`${env.verb} failed`)
}

/** @returns a descriptor of a new network namespace; this thread stays where it is */
function namespace(): number {
  const here = openSync('/proc/thread-self/ns/net', 'r')
  unshare(CLONE_NEWNET)
  const made = openSync('/proc/thread-self/ns/net', 'r')
  setns(here, CLONE_NEWNET)
  closeSync(here)
  return made
}
