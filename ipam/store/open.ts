/** What happens once when a store is opened: keys for this boot, leases from the kernel, clean-up. */

import { formatIpv4 } from '../../core/addr.ts'
import { attachmentKey } from '../../core/attachment.ts'
import { type Millis, systemClock } from '../../core/clock.ts'
import { sweepTemps } from '../../kernel/durable.ts'
import { type Adoption, adoptionOf } from '../from-kernel.ts'
import { ipv4 } from './octet.ts'
import { fromKernel } from './recover.ts'
import { Session } from './session.ts'
import { splitAll } from './split.ts'
import { locked, type Store } from './store.ts'

/** Runs `fn` on an opened store, under its lock. What `fn` changed is on disk when it returns, or `fn` threw. */
export function inSession<T>(store: Store, fn: (session: Session) => T): T {
  return locked(store, () => {
    const session = new Session(store)
    if (!store.keys.isSigned(store.bootId)) makeReady(session)
    settle(session)
    return fn(session)
  })
}

/** Once per boot, after the keys were lost, and in a store of an older layout: each lease has its key afterwards. */
function makeReady(session: Session): void {
  const { store } = session
  sweepTemps(store.folder)
  session.dropIndex()
  // The store is new, or was lost in part or whole.
  const isLost = store.keys.boot() === undefined
  if (isLost) store.keys.begin()
  splitAll(store)
  if (isLost) adoptFromKernel(session, systemClock.now())
  // Reads every block, and recovers broken ones with the help of the old keys, before the keys change.
  const leases = session.all().sort((a, b) => Date.parse(a.createdAt) - Date.parse(b.createdAt))
  store.keys.begin()
  const missing = new Map(leases.map((lease) => [attachmentKey(lease), lease]))
  for (const key of store.keys.all()) {
    const name = attachmentKey({ ...key, network: store.network })
    const lease = missing.get(name)
    if (lease === undefined) store.keys.drop(key)
    else if (lease.ip === formatIpv4(key.ip)) missing.delete(name)
  }
  for (const lease of missing.values()) store.keys.set(lease, ipv4(lease.ip))
  store.keys.sign(store.bootId, session.isUnsure())
}

/** What lives in the kernel has its lease afterwards. When it is cut short, the next run finds the rest. */
export function adoptFromKernel(session: Session, now: Millis): Adoption {
  const adoption = adoptionOf(session.all(), fromKernel(session.store))
  session.remove(adoption.dropped, now)
  session.give(adoption.adopted)
  return adoption
}

/** Removes what a killed writer left, so that no two keys ever lead to one address. */
function settle(session: Session): void {
  const { keys, folder, network } = session.store
  const left = keys.leftOver()
  if (left === undefined) return
  sweepTemps(folder)
  for (const id of left.ids) {
    if (left.isNew) session.dropUnwritten(id)
    // Looking a lease up drops a key that leads to none.
    session.leaseOf({ ...id, network })
  }
  keys.closeJournal()
}
