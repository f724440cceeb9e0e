/** The process contract: environment variables, stdin, one document on stdout, and what VERSION needs. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { type Call, cniHost, needsRoot, VERSIONS } from '../helpers/cni/cni.ts'
import { errorProblems } from '../helpers/cni/cni-result.ts'
import { executables } from '../helpers/run/executable.ts'

interface Case {
  readonly name: string
  readonly verb: string
  readonly call: Call
  readonly code: number
  /** Every one has to appear in msg or details. */
  readonly names: readonly string[]
}

const without = (...keys: string[]): Call => ({
  env: Object.fromEntries(keys.map((key) => [key, undefined])),
})

/** SPEC "Error": code 4, "the message must contain the names of the invalid variables"; skel.go lists all at once. */
const CASES: readonly Case[] = [
  {
    name: 'ADD names everything that is missing at once',
    verb: 'ADD',
    call: without('CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'),
    code: 4,
    names: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
  },
  {
    name: 'an empty container id is a missing one',
    verb: 'ADD',
    call: { containerId: '', netns: '/run/netns/c1' },
    code: 4,
    names: ['CNI_CONTAINERID'],
  },
  {
    name: 'CHECK needs the namespace',
    verb: 'CHECK',
    call: without('CNI_NETNS'),
    code: 4,
    names: ['CNI_NETNS'],
  },
  {
    name: 'DEL needs no namespace but the interface name',
    verb: 'DEL',
    call: without('CNI_NETNS', 'CNI_IFNAME'),
    code: 4,
    names: ['CNI_IFNAME'],
  },
  {
    name: 'a container id with a slash',
    verb: 'ADD',
    call: { containerId: '../x', netns: '/run/netns/c1' },
    code: 4,
    names: ['CNI_CONTAINERID', '../x'],
  },
  {
    name: 'a container id that starts with a dash',
    verb: 'ADD',
    call: { containerId: '-x', netns: '/run/netns/c1' },
    code: 4,
    names: ['CNI_CONTAINERID', '-x'],
  },
  {
    name: 'an interface name of 16 bytes',
    verb: 'ADD',
    call: { ifname: 'abcdefghijklmnop' },
    code: 4,
    names: ['CNI_IFNAME', 'abcdefghijklmnop'],
  },
  {
    name: 'an interface name with a slash',
    verb: 'ADD',
    call: { ifname: 'a/b' },
    code: 4,
    names: ['CNI_IFNAME', 'a/b'],
  },
  {
    name: 'an interface name with a colon',
    verb: 'ADD',
    call: { ifname: 'a:b' },
    code: 4,
    names: ['CNI_IFNAME'],
  },
  {
    name: 'an interface name with a blank',
    verb: 'ADD',
    call: { ifname: 'a b' },
    code: 4,
    names: ['CNI_IFNAME'],
  },
  {
    name: 'the interface name ..',
    verb: 'ADD',
    call: { ifname: '..' },
    code: 4,
    names: ['CNI_IFNAME', '..'],
  },
  {
    name: 'an interface name of which the kernel would make a number',
    verb: 'ADD',
    call: { ifname: 'eth%d' },
    code: 4,
    names: ['CNI_IFNAME', 'eth%d'],
  },
  {
    name: 'an interface name that stands for all of them',
    verb: 'ADD',
    call: { ifname: 'all' },
    code: 4,
    names: ['CNI_IFNAME', 'all'],
  },
  { name: 'an unknown command', verb: 'DANCE', call: {}, code: 4, names: ['CNI_COMMAND', 'DANCE'] },
  { name: 'an empty command', verb: '', call: {}, code: 4, names: ['CNI_COMMAND'] },
]

for (const executable of executables()) {
  t.test(executable.name, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable)
    await host.container('c1')

    for (const { name, verb, call, code, names } of CASES) {
      t.test(name, async (t) => {
        const reply = await host.call(verb, call)
        t.equal(reply.rc, 1)
        t.strictSame(errorProblems(reply.json, code), [])
        for (const part of names) t.match(`${reply.json.msg} ${reply.json.details}`, part)
      })
    }

    t.test('CNI_PATH is not insisted on: nothing is delegated', async (t) => {
      t.equal((await host.call('ADD', without('CNI_PATH'))).rc, 0)
      t.equal((await host.call('DEL', without('CNI_PATH'))).rc, 0)
    })

    t.test('variables of tracing are ignored', async (t) => {
      const reply = await host.call('STATUS', {
        env: { TRACEPARENT: '00-1-2-01', TRACESTATE: 'x', BAGGAGE: 'y' },
      })
      t.equal(reply.rc, 0, reply.stdout)
    })

    t.test('VERSION answers without a configuration and does not wait for stdin', async (t) => {
      // stdin stays open and silent: a plugin that reads it would never answer.
      const child = spawn(join(host.binDir, 'flatnet'), {
        stdio: ['pipe', 'pipe', 'inherit'],
        env: { PATH: process.env['PATH'] ?? '', CNI_COMMAND: 'VERSION' },
      })
      t.teardown(() => child.kill('SIGKILL'))
      let out = ''
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk
      })
      const code = await new Promise((resolve) => {
        const timer = setTimeout(() => resolve('still waiting after 10 s'), 10_000)
        child.once('close', (status) => {
          clearTimeout(timer)
          resolve(status)
        })
      })
      t.equal(code, 0)
      t.equal(out.trim().split('\n').length, 1, 'one line')
      const answer = JSON.parse(out)
      t.strictSame(answer.supportedVersions, VERSIONS, 'lists exactly what it supports')
      t.ok(VERSIONS.includes(answer.cniVersion))
    })

    t.test("VERSION takes what Podman sends: dummies and an old version's object", async (t) => {
      const dummies = {
        CNI_NETNS: 'dummy',
        CNI_IFNAME: 'dummy',
        CNI_PATH: 'dummy',
        CNI_CONTAINERID: '',
        CNI_ARGS: '',
      }
      const reply = await host.call('VERSION', { stdin: '{"cniVersion":"1.0.0"}', env: dummies })
      t.equal(reply.rc, 0, reply.stderr)
      t.strictSame(reply.json.supportedVersions, VERSIONS)
    })

    t.test("the machine's own namespace is refused (code 8)", async (t) => {
      const reply = await host.call('ADD', { netns: '/proc/1/ns/net' })
      t.equal(reply.rc, 1)
      t.strictSame(errorProblems(reply.json, 8), [])
      t.equal((await host.m.run(['ip', 'link', 'show', 'eth0'])).rc, 1, 'no eth0 on the host')
    })

    t.test('a namespace that does not exist', async (t) => {
      const reply = await host.call('ADD', { netns: '/run/netns/nobody' })
      t.equal(reply.rc, 1)
      t.strictSame(errorProblems(reply.json, 4), [])
      t.match(`${reply.json.msg} ${reply.json.details}`, '/run/netns/nobody')
    })

    t.test('a file that is no namespace', async (t) => {
      const reply = await host.call('ADD', { netns: '/etc/passwd' })
      t.strictSame(errorProblems(reply.json, 4), [])
    })

    t.test('nothing of all this left a trace', async (t) => {
      t.strictSame(await host.leftovers(), [])
    })
  })
}
