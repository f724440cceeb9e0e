/**
 * Shows HTTPS and HTTP/2 of the built executable in Debian's Chromium, by hand: too large a package for every run.
 *
 * `apt-get install chromium libnss3-tools`, then as root `node test/helpers/gateway/https-by-chromium.ts`.
 */
import { join } from 'node:path'
import { type Machine, machine } from '../kernel/machine.ts'
import { cliExecutable } from '../run/executable.ts'
import { waitFor } from '../run/wait.ts'

const { path: flatnet } = cliExecutable()
const LAN = '192.168.77.5'
/** The page says how the browser got it. */
const PAGE = `<!doctype html><title>web</title><body><script>
const [it] = performance.getEntriesByType('navigation')
document.body.textContent = [location.href, it.nextHopProtocol, isSecureContext ? 'secure' : 'insecure'].join(' ')
</script>`
const SERVER = `require('node:http').createServer((q, s) => {
  s.setHeader('content-type', 'text/html')
  s.end(process.argv[1] + '<!-- x-forwarded-proto: ' + q.headers['x-forwarded-proto'] + ' -->')
}).listen(80, () => console.log('up'))`

async function open(m: Machine, url: string): Promise<string> {
  const { stdout, stderr } = await m.run([
    'chromium',
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    `--user-data-dir=${join(m.dir, 'profile')}`,
    `--host-resolver-rules=MAP *.flatnet ${LAN}, MAP *.lan ${LAN}`,
    '--virtual-time-budget=5000',
    '--dump-dom',
    url,
  ])
  const shown = /<body[^>]*>([\s\S]*?)<\/body>/.exec(stdout)?.[1] ?? ''
  const refused = /ERR_[A-Z_]+/.exec(stdout + stderr)?.[0]
  return refused ?? shown.replaceAll(/<script[\s\S]*?<\/script>/g, '').trim()
}

/** A container `web`, as a runtime would start it. */
async function startContainer(m: Machine): Promise<void> {
  const { cniVersion, name, plugins } = JSON.parse(await m.exec('cat', '/etc/cni/net.d/10-flatnet.conflist'))
  await m.exec('ip', 'netns', 'add', 'web')
  const env = {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c0ffee',
    CNI_NETNS: '/run/netns/web',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'K8S_POD_NAME=web;IgnoreUnknown=1',
    CNI_PATH: '/opt/cni/bin',
  }
  const input = JSON.stringify({ cniVersion, name, ...plugins[0] })
  const { rc, stdout } = await m.run(['/opt/cni/bin/flatnet'], { env, input })
  if (rc !== 0) throw new Error(stdout)
  const server = await m.start(['ip', 'netns', 'exec', 'web', process.execPath, '-e', SERVER, PAGE])
  await waitFor('the container serves', 30_000, () => server.log().includes('up'))
}

async function serves(m: Machine): Promise<void> {
  await waitFor('a certificate', 30_000, async () => {
    const { ingress } = await m.json(flatnet, 'status', '--json')
    return ingress.tls.certificates.length === 1
  })
}

async function main(m: Machine): Promise<void> {
  m.env['HOME'] = m.dir
  await m.sh(`ip addr add ${LAN}/32 dev lo`)
  await m.exec(flatnet, 'install', '--no-service', '--cni-bin-dir', '/opt/cni/bin')
  await m.sh(`sed -i 's|^ingress:$|ingress:\\n  tls: internal|' /etc/flatnet/flatnet.yaml`)
  await startContainer(m)
  const gateway = await m.start([flatnet, 'gateway'], { name: 'gateway' })
  await m.exec(flatnet, 'init', '--no-service', '--cni-bin-dir', '/opt/cni/bin')
  await serves(m)
  const urls = ['https://web.flatnet:8443/', 'https://web.lan:8443/a?b', `https://${LAN}:8443/~web/`]
  const say = (text: string) => process.stdout.write(`${text}\n`)
  say(await m.exec('chromium', '--version'))
  say('without the CA:')
  for (const url of urls) say(`  ${url} → ${await open(m, url)}`)
  await m.sh(
    `mkdir -p $HOME/.pki/nssdb; ${flatnet} ca | certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n flatnet`,
  )
  say('with it:')
  for (const url of urls) say(`  ${url} → ${await open(m, url)}`)
  await gateway.kill()
  await m.start([flatnet, 'gateway'], { name: 'gateway' })
  await serves(m)
  say('after a restart of the gateway:')
  for (const url of urls) say(`  ${url} → ${await open(m, url)}`)
}

const teardowns: (() => unknown)[] = []
try {
  await main(await machine({ teardown: (fn: () => unknown) => void teardowns.push(fn) }))
} finally {
  for (const teardown of teardowns.reverse()) await teardown()
}
