/** Gives what lives in the kernel its leases back, and says so: for a store that is whole and old. */

import type { Clock } from '../core/clock.ts'
import type { Adoption } from './from-kernel.ts'
import type { Lease } from './lease.ts'
import { adoptFromKernel, inSession } from './store/open.ts'
import type { Session } from './store/session.ts'
import type { Store } from './store/store.ts'

/**
 * The lock is held, so every link that is seen had its lease before it, and a DEL that runs meanwhile removes both.
 * @param told pairs of rivals that were logged before; new ones are added
 */
export function adoptIn(session: Session, clock: Clock, told: Set<string> = new Set()): Adoption {
  const { log, network } = session.store
  const adoption = adoptFromKernel(session, clock.now())
  for (const { ip, containerId, ifname } of adoption.adopted) {
    log.warn(
      { network, lease: ip, containerId, ifname },
      'a live container that no lease named has its lease back',
    )
  }
  for (const { ip, containerId } of adoption.dropped) {
    log.warn({ network, lease: ip, containerId }, 'an old lease went: the kernel knows better')
  }
  for (const problem of adoption.rivals.map(rivalsProblem)) {
    if (!told.has(problem))
      log.error({ network, err: new Error(problem) }, 'two live containers have one address')
    told.add(problem)
  }
  return adoption
}

function rivalsProblem([holder, rival]: readonly [Lease, Lease]): string {
  const name = (lease: Lease): string =>
    `container ${lease.containerId} (${lease.hostIfname || lease.ifname})`
  return (
    `${name(holder)} and ${name(rival)} both have ${holder.ip}: restart ${rival.containerId}, ` +
    'which gets another address'
  )
}

export function adopt(store: Store, clock: Clock, told: Set<string>): Adoption {
  return inSession(store, (session) => adoptIn(session, clock, told))
}
