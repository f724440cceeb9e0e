/**
 * Opens `http://web.local:8080/` in Debian's Chromium on another machine of the LAN, by hand: too large a package for
 * every run.
 *
 * `apt-get install chromium avahi-daemon libnss-mdns`, then as root `node test/helpers/gateway/local-by-chromium.ts`.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hostContainer } from '../cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../cluster/hosts.ts'
import { avahi } from '../dns/avahi.ts'
import { writeConf } from '../dns/host-conf.ts'
import { waitFor } from '../run/wait.ts'

/** A desktop's view: its avahi-daemon, and a C library that asks it. */
const DESKTOP = `
mount -t tmpfs tmpfs /run
mkdir /run/avahi-daemon
mount --bind "$1/avahi" /run/avahi-daemon
mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
shift
exec "$@"
`

const say = (text: string): void => void process.stdout.write(`${text.trim()}\n`)

async function onDesktop(host: TestHost, ...argv: string[]): Promise<string> {
  const inside = ['unshare', '-m', 'sh', '-ec', DESKTOP, 'sh', host.dir, ...argv]
  const { stdout } = await host.exec(inside, { timeoutMs: 120_000 })
  return stdout === '' ? 'nothing' : stdout
}

const open = (person: TestHost, url: string): Promise<string> =>
  onDesktop(
    person,
    'chromium',
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    `--user-data-dir=${join(person.dir, 'profile')}`,
    '--dump-dom',
    url,
  )

type Teardowns = Parameters<typeof joinedHosts>[0]

async function main(t: Teardowns): Promise<void> {
  const net = await joinedHosts(t, 1, {
    spare: 1,
    async arrange({ hosts: [host] }) {
      if (host !== undefined) writeConf(host, { mdns: { enabled: true } })
    },
  })
  const [one, person] = [net.host(1), net.host(2)]
  await avahi(person, 'laptop')
  writeFileSync(join(person.dir, 'nsswitch.conf'), 'hosts: files mdns4_minimal [NOTFOUND=return] dns\n')
  const web = await hostContainer(t, one, 'web')
  await waitFor(
    'web.local is published',
    15_000,
    async () => (await one.api('/v1/status')).mdns.published === 1,
  )
  say(await onDesktop(person, 'chromium', '--version'))
  say(`getent: ${await onDesktop(person, 'getent', 'ahostsv4', 'web.local')}`)
  say(`curl: ${await onDesktop(person, 'curl', '-s', 'http://web.local:8080/')}`)
  say(`Chromium: ${await open(person, 'http://web.local:8080/')}`)
  await web.del()
  say(`Chromium, when the container has stopped: ${await open(person, 'http://web.local:8080/')}`)
}

const teardowns: (() => unknown)[] = []
try {
  await main({ teardown: (fn: () => unknown) => void teardowns.push(fn) } as Teardowns)
} finally {
  for (const teardown of teardowns.reverse()) await teardown()
}
