/**
 * GC: removes everything of this network that is not in the runtime's list; leaves other networks alone
 * (docs/architecture/cni.md#g1 to #g7).
 */

import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { type Attachment, attachmentKey } from '../core/attachment.ts'
import { systemClock } from '../core/clock.ts'
import { FlatnetError } from '../core/errors.ts'
import { foldKeys, isObject } from '../core/json.ts'
import { list } from '../ipam/inventory.ts'
import { release } from '../ipam/ipam.ts'
import { attachedLinks } from '../kernel/links.ts'
import type { Context } from './context.ts'
import { storeOf } from './lease-store.ts'
import { teardown, throwAll, withdrawQuietly } from './teardown.ts'

export async function gc(context: Context): Promise<void> {
  const { conf, log } = context
  // libcni leaves the key out when it knows no attachments at all: that is not "keep nothing".
  if (conf.validAttachments === undefined) return
  const keep = readKeep(conf.validAttachments, conf.name)
  const errors: Error[] = []
  if (conf.role === 'ipam') {
    const store = storeOf(context, undefined)
    for (const lease of list(store)) {
      if (keep.has(attachmentKey(lease))) continue
      try {
        release(store, lease, systemClock)
      } catch (cause) {
        errors.push(new Error(`releasing the lease of ${lease.containerId}`, { cause }))
      }
    }
    throwAll(errors, log)
    return
  }
  using host = NetlinkSocket.open(NETLINK_ROUTE)
  const store = storeOf(context, host)
  let gatewayAnswers = true
  for (const attachment of attachmentsOf(host, store, conf.name)) {
    if (keep.has(attachmentKey(attachment))) continue
    // A gateway that does not answer is asked once, not for every attachment: the whole wait is bounded by timeoutMs.
    if (gatewayAnswers) gatewayAnswers = await withdrawQuietly(conf.registrar, attachment, log)
    errors.push(...teardown(host, store, attachment))
    log.info({ attachment }, 'attachment collected')
  }
  throwAll(errors, log)
}

/** Leases and links: either may have survived without the other. */
function attachmentsOf(
  host: NetlinkSocket,
  store: Parameters<typeof list>[0],
  network: string,
): Attachment[] {
  const links = attachedLinks(host)
    .map((link) => link.attachment)
    .filter((a) => a.network === network)
  const all = [...list(store), ...links].map(({ containerId, ifname }) => ({ network, containerId, ifname }))
  return [...new Map(all.map((a) => [attachmentKey(a), a])).values()]
}

const KEEP_KEYS = ['containerID', 'ifname']

function readKeep(value: unknown, network: string): Set<string> {
  const valid = Array.isArray(value) ? value : undefined
  const keep = new Set<string>()
  for (const entry of valid ?? [undefined]) {
    const { containerID: containerId, ifname } = isObject(entry) ? foldKeys(entry, KEEP_KEYS) : {}
    // One malformed entry stops the collection: a half-read list must not decide what lives.
    if (typeof containerId !== 'string' || typeof ifname !== 'string') {
      throw new FlatnetError(
        'ERR_FLATNET_CONFIG',
        'cni.dev/valid-attachments must be a list of {"containerID": string, "ifname": string}',
      )
    }
    keep.add(attachmentKey({ network, containerId, ifname }))
  }
  return keep
}
