/** An ADD that fails leaves nothing, whatever it had done by then, and says what the first trouble was. */
import t from 'tap'
import { type Call, type CniHost, cniHost, needsRoot } from '../helpers/cni/cni.ts'
import { errorProblems } from '../helpers/cni/cni-result.ts'
import { executables } from '../helpers/run/executable.ts'

interface Trouble {
  readonly name: string
  /** Shell commands before ADD. */
  readonly before: string
  readonly call?: Call
  /** Shell commands that take the trouble away again. */
  readonly after: string
  readonly says: RegExp
}

const PORTS = { runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] } }

const TROUBLES: readonly Trouble[] = [
  {
    name: 'the container has an interface of that name (SPEC ADD)',
    before: 'ip -n c1 link add eth0 type veth',
    after: 'ip -n c1 link del eth0',
    says: /eth0.*exist|exist.*eth0/,
  },
  {
    name: 'the bridge name belongs to another kind of link',
    before: 'ip link add flatnet7 type veth',
    call: { conf: { bridge: 'flatnet7' } },
    after: 'ip link del flatnet7',
    says: /flatnet7/,
  },
  {
    name: 'the bridge has an address of another network',
    before: 'ip link add flatnet8 type bridge; ip addr add 10.55.0.1/24 dev flatnet8',
    call: { conf: { bridge: 'flatnet8' } },
    after: 'ip link del flatnet8',
    says: /10\.55\.0\.1/,
  },
  {
    name: 'a route that the kernel refuses',
    before: ':',
    call: {
      conf: {
        ipam: { type: 'flatnet', hostId: 1, routes: [{ dst: '172.30.0.0/16', gw: '203.0.113.9' }] },
      },
    },
    after: ':',
    says: /172\.30|203\.0\.113\.9/,
  },
  {
    name: 'the published port belongs to a live container',
    before: ':',
    call: { containerId: 'c2', conf: PORTS },
    after: ':',
    says: /8080/,
  },
]

async function quiet(host: CniHost): Promise<string[]> {
  return (await host.leftovers()).filter((line) => !line.includes('holder'))
}

for (const executable of executables()) {
  t.test(executable.name, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable)
    await host.container('c1')
    await host.container('c2')
    await host.container('holder')
    await host.ok('ADD', { containerId: 'holder', conf: PORTS })
    const before = (await host.leftovers()).sort()

    for (const { name, before: prepare, call, after, says } of TROUBLES) {
      t.test(name, async (t) => {
        await host.m.sh(prepare)
        const reply = await host.call('ADD', call)
        t.equal(reply.rc, 1)
        t.match(`${reply.json?.msg} ${reply.json?.details}`, says)
        t.strictSame(errorProblems(reply.json, reply.json?.code), [])
        t.strictSame(
          (await host.leftovers()).sort(),
          before,
          'nothing is left, and the other container keeps all',
        )
        await host.m.sh(after)
        // SPEC: the runtime sends DEL after a failed ADD, without prevResult.
        t.equal((await host.call('DEL', call)).rc, 0)
        t.strictSame((await host.leftovers()).sort(), before)
      })
    }
    t.test('and afterwards it simply works', async (t) => {
      t.equal((await host.call('ADD')).rc, 0)
      t.equal((await host.call('DEL')).rc, 0)
      t.equal((await host.call('DEL', { containerId: 'holder' })).rc, 0)
      t.strictSame(await quiet(host), [])
    })
  })
}
