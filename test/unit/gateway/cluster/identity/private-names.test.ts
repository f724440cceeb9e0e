/** Which names the cluster's CA for browsers certifies. */

import t from 'tap'
import { isCertifiable } from '../../../../../gateway/cluster/identity/private-names.ts'

const domains = ['*.Corp.example', 'gate.example']

for (const [name, expected] of [
  ['web', true],
  ['web_1', true],
  ['host1.local', true],
  ['10-100-1-10.flatnet', true],
  ['a.b.home.arpa', true],
  ['web.corp.example', true],
  ['gate.example', true],
  ['example.com', false],
  ['web.gate.example', false],
  ['corp.example', false],
  ['local.com', false],
  ['mylocal', true],
  ['my.notlocal', false],
  ['*.local', false],
  ['*', false],
  ['', false],
  ['a..local', false],
  ['-a.local', false],
  [`${'a'.repeat(64)}.local`, false],
  [`${'a.'.repeat(130)}local`, false],
  ['a b.local', false],
  ['10.0.0.7', true],
  ['192.168.1.1', true],
  ['127.0.0.1', true],
  ['8.8.8.8', false],
  ['172.32.0.1', false],
  ['1', false],
  ['fd00::1', true],
  ['::1', true],
  ['2001:db8::1', false],
  ['::ffff:8.8.8.8', false],
] as const)
  t.equal(isCertifiable(name, domains), expected, name)
