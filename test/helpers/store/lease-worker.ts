/**
 * A process of its own that uses a lease store: `node lease-worker.ts <dataDir> <once|loop> <prefix>`. Prints `+id ip`
 * when it has a lease and `-id` before it gives one back; `once` takes one lease, `loop` goes on until it is killed.
 */
import { writeSync } from 'node:fs'
import { activate } from '../../../ipam/ipam.ts'
import { attachmentOf, FakeHost, slice24 } from './lease-host.ts'

const [dataDir = '', mode, prefix = ''] = process.argv.slice(2)
const host = new FakeHost(dataDir, slice24)
const always = { isLive: () => true, netnsInode: () => '4:1' }

function take(id: string): void {
  const { lease } = host.acquire(id, { ...always, inode: '4:1', netns: `/run/netns/${id}` })
  writeSync(1, `+${id} ${lease.ip}\n`)
  activate(host.store(), attachmentOf(id))
}

if (mode === 'once') take(prefix)
else {
  for (let n = 0; ; n++) {
    take(`${prefix}${n}`)
    if (n < 3) continue
    writeSync(1, `-${prefix}${n - 3}\n`)
    host.del(`${prefix}${n - 3}`)
  }
}
