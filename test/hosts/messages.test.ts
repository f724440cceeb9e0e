/**
 * A request to a container that no path leads to: it goes as a message over a host that meets both, and is run once.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const WAIT = 30_000

/** Status, fields in lower case, and body, of the host's own ingress. */
async function curl(host: TestHost, path: string, ...args: string[]) {
  const url = `http://127.0.0.1:8080${path}`
  const { stdout } = await host.exec(['curl', '-s', '-i', '-m', '10', ...args, url])
  const [head = '', body = ''] = stdout.split('\r\n\r\n')
  const [line = '', ...fields] = head.split('\r\n')
  const headers = Object.fromEntries(
    fields.map((field) => {
      const [, name = '', value = ''] = /^([^:]+): ?(.*)$/.exec(field) ?? []
      return [name.toLowerCase(), value]
    }),
  )
  return { status: Number(line.split(' ')[1]), headers, body }
}

const isOut = (host: TestHost, hostId: number): Promise<unknown> =>
  waitFor(`host ${hostId} is out of reach`, WAIT, async () => {
    const { state } = await host.api(`/v1/paths/${hostId}`)
    return state === 'ISOLATED'
  })

const linked = (host: TestHost, hostId: number): Promise<unknown> =>
  waitFor(`host ${hostId} is linked`, WAIT, async () => (await host.linksUp()).includes(hostId))

t.test('POST over a host that meets both', { skip: needsRoot, timeout: 180_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  const berry = await hostContainer(t, two, 'berry')
  const orders = join(berry.www, 'orders')
  const script = join(berry.www, 'serve')
  writeFileSync(orders, '')
  // Reads the head and the 7 bytes behind it, and keeps both.
  const answer =
    'HTTP/1.1 201 Created\\r\\nContent-Length: 5\\r\\nSet-Cookie: a=b\\r\\nX-Kind: late\\r\\nConnection: close\\r\\n\\r\\ndone\\n'
  writeFileSync(
    script,
    `#!/bin/sh
while read -r line && [ "$line" != "$(printf '\\r')" ]; do echo "$line" >> ${orders}; done
head -c 7 >> ${orders}
echo " END" >> ${orders}
printf '${answer}'
`,
    { mode: 0o755 },
  )
  berry.spawn('busybox', 'nc', '-ll', '-p', '9000', '-e', script)
  await waitFor('it listens', 10_000, () => berry.ns.exec('ss', '-Hltn').includes(':9000 '))
  await waitFor('host 1 knows it', WAIT, async () => (await curl(one, '/~berry/')).status === 200)

  net.isolate(2)
  await isOut(one, 2)
  const post = ['-d', 'order=1', '-H', 'Prefer: respond-async, wait=10']
  const path = '/~berry-9000/orders?x=1'
  t.match(await curl(one, path, '-d', 'order=0'), { status: 503 }, 'without the preference')
  const accepted = await curl(one, path, ...post)
  t.match(accepted, { status: 202, headers: { 'preference-applied': 'respond-async', 'retry-after': '5' } })
  const location = accepted.headers['location'] ?? ''
  t.match(location, /^\/v1\/messages\/[0-9a-f]{32}$/)
  t.match(await curl(one, location), { status: 202, headers: { 'x-flatnet-message': 'waiting' } })
  t.match((await curl(one, '/')).body, /POST berry waits for a way to host 2/)
  t.match(await one.ok('status'), /messages +1 request waits for its host, 1 message kept\n/)
  await waitFor('host 3 keeps it too', WAIT, async () => (await three.api('/v1/status')).messages.kept === 1)
  t.notMatch(
    readFileSync(join(three.dir, 'data/gateway/messages', `${await keptAt(three)}.json`), 'utf8'),
    /order/,
  )
  await three.restart()

  net.isolate(1)
  net.heal(2, 3)
  await linked(three, 2)
  await waitFor('the container had it', WAIT, () => readFileSync(orders, 'utf8').includes('END'))
  net.isolate(2)
  await waitFor(
    'host 3 keeps the answer',
    WAIT,
    async () => (await three.api('/v1/status')).messages.kept === 1,
  )
  net.heal(1, 3)
  await waitFor('host 1 has the answer', WAIT, async () => (await curl(one, location)).status === 201)
  const late = await curl(one, location)
  t.match(late, { body: 'done\n', headers: { 'x-kind': 'late', 'x-flatnet-message': 'answered' } })
  t.equal(late.headers['set-cookie'], undefined, 'an answer that was stored sets no cookie')
  t.match(await curl(one, location, '-H', 'Host: elsewhere'), { status: 404 }, 'and is for who asked')
  t.match(await one.ok('status'), /messages +0 requests wait for their hosts, 0 messages kept\n/)

  net.healAll()
  await linked(one, 2)
  await one.restart()
  t.match(await curl(one, location), { status: 201, body: 'done\n' }, 'it is kept over a restart')
  const got = readFileSync(orders, 'utf8')
  t.equal(got.split('END').length, 2, 'executed once')
  t.match(got, /^POST \/orders\?x=1 HTTP\/1\.1\r?\n/)
  t.match(got, /order=1 END\n$/)
  t.notMatch(got, /Prefer/i)
  t.match(
    await curl(one, path, ...post),
    { status: 201, body: 'done\n' },
    'with a path the answer comes at once',
  )
})

/** Key of the one message that a host keeps. */
async function keptAt(host: TestHost): Promise<string> {
  const { stdout } = await host.exec(['ls', join(host.dir, 'data/gateway/messages')])
  const [, key = ''] = /^(\d+-\d+)\.json$/m.exec(stdout) ?? []
  return key
}
