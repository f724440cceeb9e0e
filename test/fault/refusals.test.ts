/**
 * What the disk and the kernel refuse: one error object with the operation and the errno, and nothing left
 * behind (docs/architecture/plugin.md#order, #errors).
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Call, CniHost } from '../helpers/cni/cni.ts'
import { errorProblems } from '../helpers/cni/cni-result.ts'
import {
  failAt,
  faultHost,
  litter,
  needsStrace,
  record,
  standing,
  stepsOfKind,
} from '../helpers/cni/fault.ts'
import { ALONE, BOTH, NOBODY, VICTIM, withWitness } from '../helpers/cni/fault-kill.ts'
import { executables } from '../helpers/run/executable.ts'

/** Each refusal of each change is one answer with code 103 or 104 that names errno, and ADD works once it is over. */
async function refuseEverything(t: Test, host: CniHost, errno: string): Promise<number> {
  await withWitness(host)
  const steps = stepsOfKind(await record(host, 'ADD', VICTIM), /^sendto (RTM_|NFNL_|0x13)/)
  await host.ok('DEL', VICTIM)
  for (const step of steps) {
    const ran = await failAt(host, 'ADD', VICTIM, step, errno)
    // A wait for the port more or less: then it was a question that failed, which is as good.
    t.equal(ran.rc, 1, `${step.what}: ${ran.stdout}`)
    t.match(`${ran.json.msg} ${ran.json.details}`, new RegExp(errno), `${step.what}: ${ran.stdout}`)
    t.match(String(ran.json.code), /^10[34]$/, step.what)
    t.same(errorProblems(ran.json, ran.json.code, '1.1.0'), [])
    t.same(await standing(host), ALONE, `${step.what}: rolled back`)
    t.same(litter(host), [], step.what)
  }
  await host.ok('ADD', VICTIM)
  t.same(await standing(host), BOTH)
  return steps.length
}

/** A folder in memory of that many KiB in the place of dataDir. */
async function smallDisk(host: CniHost, kib: number): Promise<void> {
  mkdirSync(host.dataDir, { recursive: true })
  await host.m.exec('mount', '-t', 'tmpfs', '-o', `size=${kib}k,mode=755`, 'small', host.dataDir)
}

/** As the machine sees it: the mount is none of the test's own namespace. */
const seen = (host: CniHost): string => host.m.path(host.dataDir)

async function refused(t: Test, host: CniHost, code: number, msg: RegExp, call: Call = {}): Promise<void> {
  const reply = await host.call('ADD', call)
  t.equal(reply.rc, 1, reply.stdout)
  t.same(errorProblems(reply.json, code, '1.1.0'), [])
  t.match(`${reply.json.msg} ${reply.json.details ?? ''}`, msg)
}

const linksOf = async (host: CniHost): Promise<readonly string[]> => (await standing(host)).links

for (const executable of executables()) {
  for (const errno of ['EPERM', 'ENOBUFS'])
    t.test(`${executable.name}: the kernel answers ${errno}`, { skip: needsStrace }, async (t) => {
      const count = await refuseEverything(t, await faultHost(t, executable), errno)
      t.ok(count >= 3, `${count} requests were refused`)
    })

  t.test(
    `${executable.name}: DEL goes on past a refusal, tells it, and the next one ends it`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await withWitness(host)
      await host.ok('ADD', VICTIM)
      const steps = stepsOfKind(await record(host, 'DEL', VICTIM), /^sendto (RTM_DELLINK|NFNL_)/)
      for (const step of steps) {
        await host.ok('ADD', VICTIM)
        const ran = await failAt(host, 'DEL', VICTIM, step, 'EPERM')
        t.equal(ran.rc, 1, step.what)
        t.match(ran.json, { code: 103, msg: /delete again/, details: /EPERM/ }, step.what)
        const { leases } = await standing(host)
        t.same(leases, ['victim', 'witness'], `${step.what}: nobody else gets the address before all is gone`)
        t.equal((await host.call('DEL', VICTIM)).rc, 0)
        t.same(await standing(host), ALONE, step.what)
      }
      t.equal(steps.length, 2)
    },
  )

  t.test(
    `${executable.name}: a full disk refuses ADD, but not DEL, and harms no lease`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await smallDisk(host, 256)
      await withWitness(host)
      const before = await host.m.exec('cat', join(host.dataDir, 'ipam/flatnet/10.100.1.0.json'))
      await host.m.sh(`dd if=/dev/zero of=${host.dataDir}/ballast bs=1k 2>/dev/null || true`)
      await refused(t, host, 105, /ENOSPC/, VICTIM)
      t.equal(await host.m.exec('cat', join(host.dataDir, 'ipam/flatnet/10.100.1.0.json')), before)
      t.same(await linksOf(host), ['witness'])
      t.equal(
        (await host.call('DEL', { containerId: 'other' })).rc,
        0,
        'nothing to write is nothing to refuse',
      )
      rmSync(join(seen(host), 'ballast'))
      await host.ok('ADD', VICTIM)
      t.same(await linksOf(host), ['victim', 'witness'])
    },
  )

  t.test(
    `${executable.name}: a read-only disk is told with the way out`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await smallDisk(host, 256)
      await withWitness(host)
      await host.m.exec('mount', '-o', 'remount,ro', host.dataDir)
      await refused(t, host, 105, /EROFS.*|read-only/, VICTIM)
      t.same(await linksOf(host), ['witness'])
      await host.m.exec('mount', '-o', 'remount,rw', host.dataDir)
      await host.ok('ADD', VICTIM)
    },
  )

  t.test(
    `${executable.name}: a fresh host with a dataDir that cannot be made`,
    { skip: needsStrace },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      writeFileSync(join(host.m.dir, 'file'), '')
      await refused(t, host, 105, /ENOTDIR/, { conf: { dataDir: join(host.m.dir, 'file/flatnet') } })
      await host.m.sh(
        `mkdir ${host.dataDir}; chattr +i ${host.dataDir} || mount --bind -o ro ${host.dataDir} ${host.dataDir}`,
      )
      await refused(t, host, 105, /EPERM|EROFS|EACCES/)
      await host.m.sh(`chattr -i ${host.dataDir} || umount ${host.dataDir}`)
      t.same(await standing(host), NOBODY)
      t.same(await host.m.json('ip', '-j', 'link', 'show', 'type', 'bridge'), [], 'no bridge either')
    },
  )
}
