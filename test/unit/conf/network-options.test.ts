/** Options of a Podman network, read as the entry of a conflist and written from one. */
import t from 'tap'
import { readLeniently } from '../../../conf/netconf.ts'
import { entryOf, optionsOf } from '../../../conf/network-options.ts'
import { conflistTemplate } from '../../../conf/templates.ts'

const [shipped] = JSON.parse(conflistTemplate()).plugins

t.test('what install writes reads as the conflist does', (t) => {
  const network = { network_interface: shipped.bridge, options: optionsOf(shipped) }
  const { capabilities, ...entry } = shipped
  t.strictSame(entryOf(network), entry)
  t.ok(capabilities, 'which CNI alone has')
  for (const [key, text] of Object.entries(network.options)) t.type(text, 'string', key)
  const conf = (entry: object) => readLeniently({ ...entry, name: 'flatnet' }, '1.0.0')
  t.strictSame(conf(entryOf(network)).problems, [])
  t.strictSame(conf(entryOf(network)).conf, conf(shipped).conf)
  t.end()
})

t.test('one option each', (t) => {
  const cases: readonly (readonly [name: string, options: object, entry: object])[] = [
    ['a number', { httpPort: '3000' }, { httpPort: 3000 }],
    ['a boolean', { ipMasq: 'false' }, { ipMasq: false }],
    ['a text', { dataDir: '/srv/flatnet' }, { dataDir: '/srv/flatnet' }],
    ['a text in quotes stays as it is', { dataDir: '"/srv"' }, { dataDir: '"/srv"' }],
    ['a list', { 'ipam.routes': '[]' }, { ipam: { type: 'flatnet', routes: [] } }],
    ['a short form', { hostId: '7' }, { ipam: { type: 'flatnet', hostId: 7 } }],
    [
      'two keys of a section',
      { supernet: '10.9.0.0/16', 'ipam.hostPrefix': '28' },
      { ipam: { type: 'flatnet', supernet: '10.9.0.0/16', hostPrefix: 28 } },
    ],
    ['a section over a plain key', { a: '1', 'a.b': '2' }, { a: { b: 2 } }],
  ]
  for (const [name, options, entry] of cases) {
    t.strictSame(entryOf({ options }), { type: 'flatnet', ipam: { type: 'flatnet' }, ...entry }, name)
  }
  t.end()
})

t.test('Podman leaves fields out, or sets them to null', (t) => {
  const bare = { type: 'flatnet', ipam: { type: 'flatnet' } }
  for (const network of [
    {},
    { network_interface: '', options: null },
    { network_interface: null, options: {} },
  ])
    t.strictSame(entryOf(network), bare)
  t.end()
})

t.test('a key that names a prototype changes no other object', (t) => {
  entryOf({ options: { '__proto__.polluted': '1', 'constructor.prototype.polluted': '1' } })
  t.notOk('polluted' in {})
  t.end()
})
