/**
 * A gateway that starts, as after a boot, has the installed plugin in the page cache a moment later; without one it
 * starts all the same.
 */
import t from 'tap'
import { type Machine, machine } from '../helpers/kernel/machine.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { cliExecutable, executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const { path: flatnet } = cliExecutable()
const CONFIG = '/etc/flatnet/flatnet.yaml'
const PLUGIN = '/opt/cni/bin/flatnet'
const PAGE_BYTES = 4096
/** A second on a quiet machine; 425 reads and pauses take their time on one that runs everything else. */
const READ_MS = 180_000

/** What the page cache holds of the plugin, and its size. */
async function cached(m: Machine): Promise<{ bytes: number; of: number }> {
  const [pages = '0', size = '0'] = (await m.exec('fincore', '-n', '-b', '-o', 'PAGES,SIZE', PLUGIN))
    .trim()
    .split(/\s+/)
  return { bytes: Number(pages) * PAGE_BYTES, of: Number(size) }
}

const evict = (m: Machine): Promise<string> =>
  m.exec('dd', `of=${PLUGIN}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0')

async function startGateway(m: Machine) {
  const gateway = await m.start([flatnet, 'gateway', '--config', CONFIG])
  await waitFor('the gateway answers', 10_000, async () => (await m.run([flatnet, 'status'])).rc === 0)
  return gateway
}

t.test('the plugin is read once when the gateway starts', { skip: needsRoot }, async (t) => {
  const m = await machine(t)
  await m.exec(
    flatnet,
    'install',
    '--no-service',
    '--cni-bin-dir',
    '/opt/cni/bin',
    '--listen',
    '127.0.0.1:8080',
  )
  await evict(m)
  const before = await cached(m)
  t.ok(before.bytes < before.of / 2, `${before.bytes} of ${before.of} bytes are cached when it starts`)
  const gateway = await startGateway(m)
  await waitFor('the plugin is cached', READ_MS, async () => {
    const { bytes, of } = await cached(m)
    return bytes > of * 0.95
  })
  await gateway.kill()
  await m.exec('rm', PLUGIN)
  const again = await startGateway(m)
  t.ok(await again.alive(), 'and without a plugin it serves')
  await again.kill()
})

t.test('of several plugins the one that Podman runs', { skip: needsRoot }, async (t) => {
  const m = await machine(t)
  await m.exec(flatnet, 'install', '--no-service', '--no-executables', '--listen', '127.0.0.1:8080')
  await m.sh(`mkdir -p /opt/cni/bin /etc/containers/containers.conf.d
    cp ${executables()[0]!.path} ${PLUGIN}
    printf '[network]\\ncni_plugin_dirs = ["/nowhere", "/opt/cni/bin"]\\n' > /etc/containers/containers.conf.d/90-dirs.conf`)
  await evict(m)
  const gateway = await startGateway(m)
  await waitFor('the plugin is cached', READ_MS, async () => {
    const { bytes, of } = await cached(m)
    return bytes > of * 0.95
  })
  await gateway.kill()
})
