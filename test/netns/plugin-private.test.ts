/** What the host keeps of its containers is root's: also files that an older version left readable to all users. */
import t from 'tap'
import { type CniHost, cniHost, needsRoot } from '../helpers/cni/cni.ts'
import { executables } from '../helpers/run/executable.ts'

/** Files and folders that another user may read, or enter: none below a closed folder counts. */
async function openToOthers(host: CniHost): Promise<string[]> {
  const { stdout } = await host.m.run([
    'sh',
    '-c',
    `cd ${host.dataDir} && find ipam networks -mindepth 1 ! -type l -perm /077`,
  ])
  return stdout.split('\n').filter((line) => line !== '')
}

/** As the user `nobody`, below the namespace's root; the folder of tests itself is opened to it. */
const asNobody = (host: CniHost, script: string) =>
  host.m.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-c', script])

for (const executable of executables()) {
  t.test(executable.name, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable)
    for (const id of ['c1', 'c2']) await host.container(id)
    await host.ok('ADD', { containerId: 'c1' })
    await host.m.sh(`chmod 755 ${host.m.dir} ${host.dataDir}`)

    await t.test('what a new host writes is closed to other users', async (t) => {
      t.same(await openToOthers(host), [])
      t.match((await asNobody(host, `cat ${host.dataDir}/ipam/flatnet/*.json`)).rc, 1)
      t.equal(host.leases().length, 1, 'root reads it')
    })

    await t.test('what an older version left is closed by the next container', async (t) => {
      await host.m.sh(
        `cd ${host.dataDir}; find ipam networks -type d -exec chmod 755 {} +; find ipam networks -type f -exec chmod 644 {} +`,
      )
      t.not((await openToOthers(host)).length, 0)
      await host.ok('ADD', { containerId: 'c2' })
      const left = (await openToOthers(host)).filter((path) => path.startsWith('ipam/flatnet/'))
      t.same(left, [])
      t.same((await host.m.exec('stat', '-c', '%a', `${host.dataDir}/ipam/flatnet`)).trim(), '700')
      t.equal(host.leases().length, 2)
      for (const id of ['c1', 'c2']) await host.ok('DEL', { containerId: id })
      t.same(await host.leftovers(), [])
    })
  })
}
