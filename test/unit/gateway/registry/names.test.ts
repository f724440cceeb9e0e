/** Which container a name means, as a table: each group has its rule above it. */

import t from 'tap'
import type { Assignment } from '../../../../core/api.ts'
import { systemClock } from '../../../../core/clock.ts'
import { NameIndex } from '../../../../gateway/registry/name-index.ts'
import { resolveHost, resolveName } from '../../../../gateway/registry/names.ts'
import { assignmentOf } from '../../../helpers/gateway/gateway-samples.ts'

const index = new NameIndex(systemClock)
const byAddress = new Map<string, Assignment>()
const put = (name: string | undefined, ip: string, more: Partial<Assignment> = {}): void => {
  const assignment = assignmentOf({ ...(name !== undefined && { name }), ips: [`${ip}/24`], ...more })
  index.add(assignment)
  byAddress.set(ip, assignment)
}
put('web', '10.100.1.10', { aliases: ['www'] })
put('web-8080', '10.100.1.11')
put('my.app', '10.100.1.12', { httpPort: 3000 })
put('my', '10.100.1.13')
put('10-100-1-10', '10.100.1.14')
put('10-100-9-9', '10.100.1.16')
put(undefined, '10.100.2.5')

const lookup = {
  byIp: (ip: string) => byAddress.get(ip),
  byName: (name: string) => index.get(name),
}
const shown = (found: { ip: string; port: number } | undefined): string =>
  found === undefined ? 'no container' : `${found.ip}:${found.port}`

const hosts: readonly [host: string, expected: string][] = [
  // A name, an alias, any domain behind it.
  ['web', '10.100.1.10:80'],
  ['web.flatnet', '10.100.1.10:80'],
  ['www.example.org', '10.100.1.10:80'],
  ['nothing.flatnet', 'no container'],
  ['', 'no container'],
  // Names with dots come before names that they begin with.
  ['my.app.flatnet', '10.100.1.12:3000'],
  ['my.app-81.flatnet', '10.100.1.12:81'],
  ['my.other.flatnet', '10.100.1.13:80'],
  // More than eight labels are never looked up.
  ['web.b.c.d.e.f.g.h', '10.100.1.10:80'],
  ['web.b.c.d.e.f.g.h.i', 'no container'],
]
for (const [host, expected] of hosts)
  t.test(`host ${host || '(empty)'}`, async (t) => t.equal(shown(resolveHost(host, lookup)), expected))

const names: readonly [name: string, expected: string][] = [
  // The exact name comes before name and port.
  ['web-8080', '10.100.1.11:80'],
  ['web-8080-81', '10.100.1.11:81'],
  ['web-81', '10.100.1.10:81'],
  // A port has a value from 1 to 65535.
  ['web-0', 'no container'],
  ['web-65536', 'no container'],
  ['web-', 'no container'],
  // A registered address comes before a container that is called like it.
  ['10-100-1-10', '10.100.1.10:80'],
  ['10-100-1-12', '10.100.1.12:3000'],
  ['10-100-1-12-8080', '10.100.1.12:8080'],
  ['10-100-2-5', '10.100.2.5:80'],
  // What looks like an address and is not registered is a name like others.
  ['10-100-9-9', '10.100.1.16:80'],
  ['10-100-1-99', 'no container'],
  ['10-100-1-010', 'no container'],
  ['169-254-169-254', 'no container'],
]
for (const [name, expected] of names)
  t.test(`name ${name}`, async (t) => t.equal(shown(resolveName(name, lookup)), expected))
