/** cli/nebula: what is asked of nebula-cert of each release, and what is refused. */

import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import type { Host } from '../../../../cli/host/host.ts'
import { makeCa, makeConfig, makeHost, makeKey } from '../../../../cli/nebula/verbs.ts'
import { daemonConf } from '../../../../conf/daemon.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

/** nebula-cert of a release, which writes empty files where it is told to. */
function around(t: Test, version: string | undefined) {
  const dataDir = scratchFolder(t)
  const calls: string[][] = []
  const host: Host = {
    read: () => undefined,
    list: () => [],
    uid: () => 0,
    run(_command, args) {
      if (version === undefined) return undefined
      if (args[0] === '-version') return { code: 0, stdout: `Version: ${version}\n`, stderr: '' }
      const details = { name: 'host-2', notAfter: '2036-11-26T05:39:23Z' }
      if (args[0] === 'print')
        return { code: 0, stdout: JSON.stringify({ details, fingerprint: '9fe4' }), stderr: '' }
      calls.push([...args])
      for (const flag of ['-out-crt', '-out-key', '-out-pub']) {
        const at = args.indexOf(flag)
        if (at >= 0) writeFileSync(args[at + 1] ?? '', '')
      }
      return { code: 0, stdout: '', stderr: '' }
    },
  }
  const conf = daemonConf({ hostId: 1, dataDir })
  return { calls, folder: `${dataDir}/nebula`, around: { host, conf } }
}

const pairs = (args: readonly string[] = []): Record<string, string> =>
  Object.fromEntries(
    args.flatMap((arg, i) => (arg.startsWith('-') && i % 2 === 1 ? [[arg, args[i + 1] ?? '']] : [])),
  )

t.test('flags of each release', (t) => {
  const cases: [version: string, ca: Record<string, string>, host: Record<string, string>][] = [
    [
      '1.6.1',
      { '-ips': '10.101.0.0/16', '-subnets': '10.100.0.0/16' },
      { '-ip': '10.101.0.2/16', '-subnets': '10.100.2.0/24' },
    ],
    [
      '1.10.0',
      { '-networks': '10.101.0.0/16', '-unsafe-networks': '10.100.0.0/16', '-version': '1' },
      { '-networks': '10.101.0.2/16', '-unsafe-networks': '10.100.2.0/24' },
    ],
  ]
  for (const [version, ca, host] of cases) {
    const { around: given, calls, folder } = around(t, version)
    const to = `${folder}/host-2`
    makeCa(given, { name: 'c', duration: '87600h' })
    makeHost(given, { hostId: 2 })
    const files = { '-out-crt': `${folder}/ca.crt`, '-out-key': `${folder}/ca.key` }
    const common = { '-name': 'c', '-duration': '87600h', '-groups': 'flatnet' }
    t.same(pairs(calls[0]), { ...common, ...files, ...ca }, `ca, ${version}`)
    const signed = { '-ca-crt': `${folder}/ca.crt`, '-ca-key': `${folder}/ca.key`, '-name': 'host-2' }
    const made = { '-out-crt': `${to}/host.crt`, '-out-key': `${to}/host.key`, '-groups': 'flatnet' }
    t.same(pairs(calls[1]), { ...signed, ...made, ...host }, `host, ${version}`)
    t.equal(statSync(`${to}/host.key`).mode & 0o777, 0o600)
    t.equal(statSync(to).mode & 0o777, 0o700)
    t.ok(existsSync(`${to}/ca.crt`))
  }
  t.end()
})

t.test('a key that stays on its host', (t) => {
  const { around: given, calls, folder } = around(t, '1.6.1')
  makeCa(given, { name: 'c', duration: '1h' })
  const { files } = makeKey(given)
  t.same(files, [`${folder}/host.key`, `${folder}/host.pub`])
  t.same(makeHost(given, { publicKey: `${folder}/host.pub` }).files, [
    `${folder}/ca.crt`,
    `${folder}/host.crt`,
  ])
  t.match(pairs(calls[2]), { '-in-pub': `${folder}/host.pub`, '-name': 'host-1' })
  t.notOk(calls[2]?.includes('-out-key'))
  t.end()
})

t.test('a CA that there is already', (t) => {
  const { around: given, calls, folder } = around(t, '1.11.0')
  const ca = scratchFolder(t)
  t.throws(() => makeHost(given, { ca }), /there is no .*ca\.crt/)
  writeFileSync(`${ca}/ca.crt`, 'theirs')
  writeFileSync(`${ca}/ca.key`, '')
  makeHost(given, { ca })
  t.match(pairs(calls[0]), { '-ca-crt': `${ca}/ca.crt`, '-ca-key': `${ca}/ca.key` })
  t.equal(readFileSync(`${folder}/ca.crt`, 'utf8'), 'theirs')
  makeHost(given, { ca, hostId: 2 })
  t.equal(readFileSync(`${folder}/host-2/ca.crt`, 'utf8'), 'theirs')
  writeFileSync(`${ca}/ca.crt`, 'of another')
  t.throws(() => makeHost(given, { ca, hostId: 2, publicKey: 'x' }), /host\.crt exists already/)
  rmSync(`${folder}/host-2/host.crt`)
  t.throws(() => makeHost(given, { ca, hostId: 2, publicKey: 'x' }), /ca\.crt exists already/)
  t.end()
})

t.test('what is refused, before anything is made', (t) => {
  const { around: given, calls } = around(t, '1.6.1')
  t.throws(() => makeHost(given, {}), /there is no .*ca\.crt/)
  makeCa(given, { name: 'c', duration: '1h' })
  t.throws(() => makeCa(given, { name: 'c', duration: '1h' }), /ca\.crt exists already/)
  makeHost(given, {})
  t.throws(() => makeHost(given, {}), /host\.crt exists already/)
  t.throws(() => makeKey(given), /host\.key exists already/)
  t.throws(() => makeHost(given, { hostId: 255 }), /there is no host 255/)
  t.equal(calls.length, 2)
  t.end()
})

t.test('no Nebula, or an old one', (t) => {
  const none = around(t, undefined).around
  const ca = { name: 'c', duration: '1h' }
  t.throws(() => makeCa(none, ca), {
    message: /nebula-cert is not installed/,
    next: /apt-get install nebula/,
  })
  t.throws(() => makeConfig(none, [], undefined), /nebula is not installed/)
  t.throws(() => makeCa(around(t, '1.5.0').around, ca), /1\.5\.0 is too old: 1\.6 or later/)
  t.throws(() => makeCa(around(t, 'unknown').around, ca), /no version that is understood/)
  t.end()
})

t.test('the configuration is written once', (t) => {
  const { around: given, folder } = around(t, '1.6.1')
  makeCa(given, { name: 'c', duration: '1h' })
  const out = `${folder}/own.yml`
  const text = makeConfig(given, [], out)
  t.match(text, /dev: flatnet-nebula/)
  t.equal(statSync(out).mode & 0o777, 0o600)
  t.throws(() => makeConfig(given, [], out), /own\.yml exists already/)
  t.end()
})
