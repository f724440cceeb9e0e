/** The host's DNS servers: what resolv.conf says, read again when it changes, without ourselves. */

import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { HostServers, parseResolvConf } from '../../../../gateway/dns/host-servers.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

t.test('resolv.conf', (t) => {
  t.same(
    parseResolvConf(`# by hand
search example.com
nameserver 192.0.2.1
  nameserver 192.0.2.9
nameserver\t2001:db8::1 # second
nameserver fe80::1%eth0
nameserver dns.example
nameserver 192.0.2.4`),
    ['192.0.2.1', '2001:db8::1', 'fe80::1%eth0'],
    'three at most, addresses alone',
  )
  t.same(parseResolvConf(''), [])
  t.end()
})

t.test('the servers of this host', async (t) => {
  const folder = scratchFolder(t)
  const paths = { resolvConf: join(folder, 'resolv.conf'), behindStub: join(folder, 'behind.conf') }
  let now = 0
  const own = new Set(['10.100.1.1'])
  const servers = new HostServers({
    clock: { monotonic: () => now },
    isOwn: (address) => own.has(address),
    paths,
  })
  const hosts = async (): Promise<string[]> => {
    now += 1_000
    return (await servers.current()).map(({ host }) => host)
  }
  t.same(await hosts(), [], 'no file, no server')
  writeFileSync(paths.resolvConf, 'nameserver 192.0.2.1\nnameserver 10.100.1.1\n')
  t.same(await hosts(), ['192.0.2.1'], 'without ourselves')
  writeFileSync(`${paths.resolvConf}.new`, 'nameserver 192.0.2.22\n')
  renameSync(`${paths.resolvConf}.new`, paths.resolvConf)
  t.same(
    (await servers.current()).map(({ host }) => host),
    ['192.0.2.1'],
    'within a second it is not looked at',
  )
  t.same(await hosts(), ['192.0.2.22'], 'replaced')
  writeFileSync(paths.resolvConf, 'nameserver 127.0.0.53\n')
  writeFileSync(paths.behindStub, 'nameserver 192.0.2.33\n')
  t.same(await hosts(), ['127.0.0.53', '192.0.2.33'], 'the stub, then what it asks itself')
})
