/** A certificate that is due, and one that ended while the host was off, renew themselves on a running host. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { issue, makeRequest } from '../../gateway/cluster/identity/certificates.ts'
import { allLinked, joinedByCommands, type TestHost } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

t.test('renewed', { skip: needsRoot }, async (t) => {
  const net = await joinedByCommands(t, 2)
  const [one, two] = [net.host(1), net.host(2)]
  const file = (host: TestHost, name: string): string => join(host.dataDir, 'cluster', name)
  const read = (host: TestHost, name: string): string => readFileSync(file(host, name), 'utf8')
  const ca = { certPem: read(one, 'ca.crt'), keyPem: read(one, 'ca.key') }
  const key = read(two, 'host.key')
  const { requestPem } = await makeRequest(key)

  t.comment('a certificate of thirty seconds, begun twenty-five ago')
  const days = 30 / 86_400
  const short = await issue(ca, requestPem, { cluster: 'testing', hostId: 2, now: Date.now() - 25_000, days })
  await two.stop()
  writeFileSync(file(two, 'host.crt'), short)
  await two.start()
  await waitFor('it renews itself', 15_000, () => read(two, 'host.crt') !== short)
  await allLinked(net)
  t.match(await two.api('/v1/status'), { cluster: { certificate: { state: 'valid' } } })

  t.comment('one that ended while the host was off')
  const over = await issue(ca, requestPem, { cluster: 'testing', hostId: 2, now: Date.now() - 60_000, days })
  await two.stop()
  writeFileSync(file(two, 'host.crt'), over)
  await two.start()
  await waitFor('it renews itself', 15_000, () => read(two, 'host.crt') !== over)
  await allLinked(net)
  t.equal(read(two, 'host.key'), key, 'with the key that it had')
})
