/** What comes on stdin: broken JSON, names, versions, values; every problem is named before anything is touched. */
import t from 'tap'
import { type Call, cniHost, needsRoot, type Verb } from '../helpers/cni/cni.ts'
import { errorProblems } from '../helpers/cni/cni-result.ts'
import { executables } from '../helpers/run/executable.ts'

interface Case {
  readonly name: string
  readonly call: Call
  readonly code: number
  readonly names?: readonly string[]
}

/** For every verb that reads a configuration (skel.go: JSON, then the name, then the version). */
const ANY_VERB: readonly Case[] = [
  { name: 'no JSON', call: { stdin: '{"cniVersion": "1.1.0",' }, code: 6 },
  { name: 'empty stdin', call: { stdin: '' }, code: 6 },
  { name: 'garbage behind the object', call: { stdin: '{"cniVersion":"1.1.0","name":"x"} {}' }, code: 6 },
  { name: 'a byte order mark', call: { stdin: '\uFEFF{"cniVersion":"1.1.0","name":"x"}' }, code: 6 },
  { name: 'a list', call: { stdin: '[]' }, code: 6 },
  { name: 'null', call: { stdin: 'null' }, code: 6 },
  { name: 'no name', call: { conf: { name: undefined } }, code: 7, names: ['name'] },
  { name: 'an empty name', call: { conf: { name: '' } }, code: 7, names: ['name'] },
  { name: 'a name with a slash', call: { conf: { name: '../up' } }, code: 7, names: ['../up'] },
  { name: 'an unknown version', call: { conf: { cniVersion: '9.9.9' } }, code: 1, names: ['9.9.9', '1.1.0'] },
  {
    name: 'no version stands for 0.1.0, which Flatnet does not speak',
    call: { conf: { cniVersion: undefined } },
    code: 1,
    names: ['0.1.0'],
  },
]

/** ADD validates all of it. */
const ADD_ONLY: readonly Case[] = [
  {
    name: 'every problem at once, each with key and value',
    call: {
      conf: {
        bridge: 'much-too-long-for-a-bridge',
        mtu: 'wide',
        ipam: { type: 'flatnet', hostId: 'one', supernet: '10.100.0.1/16' },
      },
    },
    code: 7,
    names: [
      'bridge',
      'much-too-long-for-a-bridge',
      'mtu',
      'wide',
      'hostId',
      'one',
      'supernet',
      '10.100.0.1/16',
    ],
  },
  {
    name: 'a supernet that cannot be read does not hide other sizes that are wrong',
    call: {
      conf: { mtu: -1, ipam: { type: 'flatnet', hostId: 0, supernet: '10.100.0.0/33', firstOffset: 300 } },
    },
    code: 7,
    names: ['mtu is -1', 'supernet is "10.100.0.0/33"', 'hostId is 0', 'firstOffset is 300'],
  },
  {
    name: 'a supernet with host bits does not hide a hostId outside it',
    call: { conf: { ipam: { type: 'flatnet', hostId: 300, supernet: '10.100.1.0/16' } } },
    code: 7,
    names: ['supernet is "10.100.1.0/16"', 'hostId is 300'],
  },
  {
    name: 'a route twice',
    call: {
      conf: {
        ipam: { type: 'flatnet', hostId: 1, routes: [{ dst: '172.30.0.0/16' }, { dst: '172.30.0.0/16' }] },
      },
    },
    code: 7,
    names: ['ipam.routes[1]', '172.30.0.0/16', 'the same as routes[0]'],
  },
  {
    name: 'a misspelt key of ipam',
    call: { conf: { ipam: { type: 'flatnet', hostId: 1, suprnet: '10.0.0.0/8' } } },
    code: 2,
    names: ['suprnet', '10.0.0.0/8'],
  },
  {
    name: 'another ipam',
    call: { conf: { ipam: { type: 'host-local' } } },
    code: 7,
    names: ['ipam', 'host-local'],
  },
  { name: 'no type', call: { conf: { type: undefined } }, code: 7, names: ['type', 'flatnet'] },
  {
    name: "the executable's own name as the type: nobody would make an interface",
    call: { conf: { type: 'flatnet-cni' } },
    code: 7,
    names: ['type', 'flatnet-cni'],
  },
  {
    name: 'a bridge name of which the kernel would make a number',
    call: { conf: { bridge: 'fl%d' } },
    code: 7,
    names: ['bridge', 'fl%d'],
  },
  { name: 'a bridge called all', call: { conf: { bridge: 'all' } }, code: 7, names: ['bridge', 'all'] },
  { name: 'no hostId', call: { conf: { ipam: { type: 'flatnet' } } }, code: 7, names: ['hostId'] },
  {
    name: 'a hostId outside the supernet',
    call: { conf: { ipam: { type: 'flatnet', hostId: 256 } } },
    code: 7,
    names: ['hostId', '256'],
  },
  {
    name: 'a relative dataDir',
    call: { conf: { dataDir: 'var/lib' } },
    code: 7,
    names: ['dataDir', 'var/lib'],
  },
  {
    name: 'an endpoint that is no socket',
    call: { conf: { registrar: { endpoint: 'http://localhost' } } },
    code: 7,
    names: ['endpoint', 'http://localhost'],
  },
]

/**
 * Must never be an error: runtimes pass them, libcni never drops `capabilities` (docs/architecture/cni.md#s4).
 */
const TOLERATED = {
  capabilities: { portMappings: true },
  args: { cni: {}, 'org.example': { x: 1 } },
  runtimeConfig: {},
  'cni.dev/anything': [1],
  dns: {},
}

const VERBS: readonly Verb[] = ['ADD', 'CHECK', 'DEL', 'GC', 'STATUS']

for (const executable of executables()) {
  t.test(executable.name, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable)
    await host.container('c1')

    for (const verb of VERBS) {
      t.test(verb, async (t) => {
        for (const { name, call, code, names = [] } of [...ANY_VERB, ...(verb === 'ADD' ? ADD_ONLY : [])]) {
          const reply = await host.call(verb, call)
          t.equal(reply.rc, 1, name)
          t.strictSame(errorProblems(reply.json, code), [], name)
          for (const part of names) t.match(`${reply.json?.msg} ${reply.json?.details}`, part, name)
        }
        t.equal((await host.m.run(['ip', 'link', 'show', 'flatnet0'])).rc, 1, 'nothing was touched')
        t.strictSame(await host.leftovers(), [])
      })
    }

    t.test('what runtimes pass is tolerated', async (t) => {
      const added = await host.call('ADD', { conf: TOLERATED })
      t.equal(added.rc, 0, added.stdout)
      t.equal((await host.call('CHECK', { conf: { ...TOLERATED, prevResult: added.json } })).rc, 0)
      t.equal((await host.call('DEL', { conf: TOLERATED })).rc, 0)
    })

    t.test('DEL works with a configuration that has become wrong', async (t) => {
      t.equal((await host.call('ADD')).rc, 0)
      const conf = {
        bridge: 'elsewhere0',
        mtu: 'wide',
        ipam: { type: 'flatnet', hostId: 7, supernet: '10.9.0.0/16' },
      }
      const deleted = await host.call('DEL', { conf })
      t.equal(deleted.rc, 0, deleted.stdout)
      t.strictSame(await host.leftovers(), [])
    })
  })
}
