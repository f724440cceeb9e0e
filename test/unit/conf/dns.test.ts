/** The section `dns` of flatnet.yaml: its values, and what is said of wrong ones. */

import t from 'tap'
import { daemonConf } from '../../../conf/daemon.ts'
import { ConfigError } from '../../../core/errors.ts'

const dns = (value: unknown) => daemonConf({ hostId: 1, dns: value }).dns
function problem(value: unknown): string {
  try {
    dns(value)
  } catch (err) {
    if (err instanceof ConfigError) return err.message
    throw err
  }
  return ''
}

t.test('defaults', (t) => {
  t.same(dns(undefined), { enabled: true, domain: 'flatnet.internal', servers: [] })
  t.end()
})

t.test('values', (t) => {
  t.same(dns({ enabled: false, domain: 'Corp.Example.' }), {
    enabled: false,
    domain: 'corp.example',
    servers: [],
  })
  t.same(
    dns({ servers: ['192.0.2.1', '192.0.2.2:5353', '2001:db8::1', '[2001:db8::2]:54'].slice(0, 3) }).servers,
    [
      { host: '192.0.2.1', port: 53 },
      { host: '192.0.2.2', port: 5353 },
      { host: '2001:db8::1', port: 53 },
    ],
  )
  t.same(dns({ servers: ['[2001:db8::2]:54'] }).servers, [{ host: '2001:db8::2', port: 54 }])
  t.end()
})

const wrong: [value: unknown, expected: RegExp][] = [
  [{ domain: 'my_domain' }, /dns\.domain is "my_domain": must be a domain/],
  [{ domain: 'local' }, /dns\.domain/],
  [{ domain: 'corp.local' }, /dns\.domain/],
  [{ domain: '10.100' }, /dns\.domain/],
  [{ domain: 'a..b' }, /dns\.domain/],
  [{ domain: '' }, /dns\.domain/],
  [{ servers: ['dns.example'] }, /dns\.servers is \["dns\.example"\]: must be at most 3 addresses/],
  [{ servers: ['192.0.2.1:0'] }, /dns\.servers/],
  [{ servers: ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'] }, /dns\.servers/],
  [{ servers: '192.0.2.1' }, /dns\.servers/],
  [{ enabled: 'yes' }, /dns\.enabled/],
  [{ domian: 'x' }, /dns\.domian .*did you mean domain/],
]

for (const [value, expected] of wrong)
  t.test(JSON.stringify(value), (t) => {
    t.match(problem(value), expected)
    t.end()
  })
