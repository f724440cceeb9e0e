/**
 * What can be wrong with Nebula: each is told with its cause and the way out, and packets go on by the gateway path.
 */
import { spawn } from 'node:child_process'
import { copyFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { hasNetworkFlags } from '../../gateway/dataplane/nebula/version.ts'
import type { TestHost } from '../helpers/cluster/hosts.ts'
import {
  NEBULA_DEVICE,
  nebulaPair,
  nebulaPid,
  nebulaTraces,
  nebulaVersion,
  setNebula,
  takeNebula,
  usable,
} from '../helpers/cluster/nebula-pair.ts'
import {
  failures,
  metricsTo,
  PATIENCE_MS,
  requestsTo,
  retryAt,
  worstGap,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot, run } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const noNebula = nebulaVersion === undefined && 'nebula is not installed'
const name = `what can be wrong with Nebula ${nebulaVersion?.text}`

const statusOf = async (host: TestHost) => (await host.api('/v1/status')).nebula

/** What doctor finds of Nebula. */
async function found(host: TestHost): Promise<{ id: string; state: string; what: string; fix?: string }[]> {
  const { stdout } = await host.flatnetWith({ timeoutMs: 2 * PATIENCE_MS }, 'doctor', '--json')
  return JSON.parse(stdout).filter(({ id }: { id: string }) => id.startsWith('nebula'))
}

/** Waits for the reason, then looks whether people read it as well. */
async function toldIn(t: Test, host: TestHost, reason: RegExp): ReturnType<typeof found> {
  await waitFor(`${reason} is told`, PATIENCE_MS, async () =>
    reason.test((await statusOf(host)).problem ?? ''),
  )
  const text = (await host.ok('status')).replace(/\s+/g, ' ')
  t.match(text, reason, 'flatnet status')
  const doctor = await found(host)
  const device = doctor.find(({ id }) => id === 'nebula-device')
  t.match(device, { state: 'warn', what: reason }, 'flatnet doctor')
  return doctor
}

const fileOf = (host: TestHost, file: string): string => join(host.dataDir, 'nebula', file)

t.test(name, { skip: needsRoot || noNebula, timeout: 600_000 }, async (t) => {
  const pair = await nebulaPair(t)
  const { one, two, apple, berry } = pair
  await takeNebula(pair)

  await t.test('nothing is wrong', async (t) => {
    t.match(await found(one), [
      { id: 'nebula-program', state: 'ok', what: `nebula ${nebulaVersion?.text} is installed` },
      { id: 'nebula-certificate', state: 'ok', what: /10\.101\.0\.1.*10\.100\.1\.0\/24/ },
      { id: 'nebula-device', state: 'ok', what: `${NEBULA_DEVICE} is up and carries to 1 host` },
    ])
  })

  await t.test('its device is deleted: requests go on, and Nebula has another one', async (t) => {
    const requests = requestsTo(pair, 100)
    await requests.answered(50)
    const pid = nebulaPid(one)
    one.ns.exec('ip', 'link', 'del', NEBULA_DEVICE)
    await waitFor('another one runs', PATIENCE_MS, () => ![undefined, pid].includes(nebulaPid(one)))
    await usable(one)
    await retryAt(pair)
    await takeNebula(pair)
    const answers = await requests.stop()
    t.same(failures(answers), [], 'no request failed')
    t.comment(`worst gap ${worstGap(answers)} ms`)
  })

  await t.test('its device is set down', async (t) => {
    one.ns.exec('ip', 'link', 'set', NEBULA_DEVICE, 'down')
    await toldIn(t, one, /the device flatnet-nebula is down: ip link set flatnet-nebula up/)
    t.match(apple.ns.exec('curl', '-sS', '-m', '5', `http://${berry.ip}/`), /berry on host 2/)
    one.ns.exec('ip', 'link', 'set', NEBULA_DEVICE, 'up')
    await usable(one)
  })

  await t.test(
    'reload without Nebula takes all of it away, and a reload with it brings it back',
    async (t) => {
      const requests = requestsTo(pair, 50)
      await requests.answered(25)
      const pid = nebulaPid(one)
      setNebula(one, { enabled: false })
      one.signal('SIGHUP')
      await waitFor('Nebula is off', PATIENCE_MS, async () => (await statusOf(one)) === null)
      t.same(nebulaTraces(one), [])
      await requests.answered(100)
      setNebula(one, { enabled: true })
      one.signal('SIGHUP')
      await waitFor('Nebula is on', PATIENCE_MS, async () => (await statusOf(one)) !== null)
      await usable(one)
      await retryAt(pair)
      await takeNebula(pair)
      t.not(nebulaPid(one), pid)
      // A reload interrupts the gateway path too, for as long as its links take.
      const answers = await requests.stop()
      t.comment(`${failures(answers).length} of ${answers.length} failed, worst gap ${worstGap(answers)} ms`)
      t.equal(answers.at(-1)?.[2], 200, 'requests are answered')
    },
  )

  await t.test('a reload while it is used ends it and starts another', async (t) => {
    const pid = nebulaPid(one)
    one.signal('SIGHUP')
    await waitFor('another one runs', PATIENCE_MS, () => ![undefined, pid].includes(nebulaPid(one)))
    await usable(one)
    t.throws(() => process.kill(pid ?? 0, 0), 'the first one has ended')
  })

  await t.test('a certificate that expired, of another CA, and the right one again', async (t) => {
    const [crt, own] = [fileOf(one, 'host.crt'), fileOf(one, 'own.crt')]
    copyFileSync(crt, own)
    placeExpired(one, crt)
    const doctor = await toldIn(t, one, /host\.crt expired on .*: flatnet nebula host/)
    const certificate = doctor.find(({ id }) => id === 'nebula-certificate')
    t.match(certificate, { state: 'warn', what: /^host\.crt expired on/ })
    t.ok(one.logged('nebula is started again, as its certificates changed').length >= 1)
    t.same(metricsTo(one, 2).includes(200), true, 'packets go by the gateway path')
    // Of this host's cluster, and of a CA that is not in ca.crt.
    renameSync(fileOf(one, 'ca.crt'), fileOf(one, 'kept.crt'))
    renameSync(fileOf(one, 'ca.key'), fileOf(one, 'kept.key'))
    copyFileSync(own, crt)
    await one.ok('nebula', 'ca', '--name', 'other')
    await toldIn(t, one, /host\.crt is signed by a CA that is not in ca\.crt, which is of "other"/)
    renameSync(fileOf(one, 'kept.crt'), fileOf(one, 'ca.crt'))
    renameSync(fileOf(one, 'kept.key'), fileOf(one, 'ca.key'))
    await usable(one)
    await retryAt(pair)
    await takeNebula(pair)
    const warned = one.logged('nebula is not started, packets go by other ways').map(({ reason }) => reason)
    t.equal(new Set(warned).size, warned.length, 'each is logged once')
  })

  await t.test('the peer has a certificate of another CA', async (t) => {
    for (const file of ['ca.crt', 'ca.key', 'host.crt', 'host.key'])
      renameSync(fileOf(one, file), fileOf(one, `kept-${file}`))
    await one.ok('nebula', 'ca', '--name', 'other')
    await one.ok('nebula', 'host')
    const complains = (host: TestHost) => async () =>
      /of another CA/.test((await statusOf(host)).complaint ?? '')
    await waitFor('one of them complains', PATIENCE_MS, async () =>
      (await Promise.all([one, two].map((host) => complains(host)()))).includes(true),
    )
    const teller = (await complains(one)()) ? one : two
    t.match(
      (await teller.ok('status')).replace(/\s+/g, ' '),
      /a host has a certificate of another CA: sign it/,
    )
    const complaint = (await found(teller)).find(({ id }) => id === 'nebula-complaint')
    t.match(complaint, { state: 'warn', what: /of another CA/ })
    t.match(apple.ns.exec('curl', '-sS', '-m', '5', `http://${berry.ip}/`), /berry on host 2/)
    for (const file of ['ca.crt', 'ca.key', 'host.crt', 'host.key'])
      renameSync(fileOf(one, `kept-${file}`), fileOf(one, file))
  })

  await t.test('its UDP port is taken', async (t) => {
    await one.stop()
    t.same(nebulaTraces(one), [])
    const bind = `require('node:dgram').createSocket('udp6').bind(4242, () => console.log('bound'))`
    const other = spawn('ip', ['netns', 'exec', one.ns.name, process.execPath, '-e', bind])
    t.teardown(() => other.kill('SIGKILL'))
    await new Promise((resolve) => other.stdout.once('data', resolve))
    await one.start()
    await toldIn(t, one, /another program has UDP port 4242: ss -lunp/)
    const ends = one.logged('nebula ended')
    t.match(ends.at(-1).reason, /exit code 1: another program has UDP port 4242/)
    t.comment(`${ends.length} starts so far`)
    other.kill('SIGKILL')
    await usable(one)
  })

  await t.test('it is not installed, or may not be executed', async (t) => {
    await one.stop()
    // ip(8) is there, and Debian's nebula is not.
    await one.start({ env: { PATH: `${one.dir}:/usr/sbin` } })
    await toldIn(t, one, /nebula is not installed; on Debian: apt-get install nebula/)
    await one.stop()
    const file = join(one.dir, 'nebula')
    writeFileSync(file, '', { mode: 0o644 })
    await one.start({ env: { PATH: `${one.dir}:/usr/sbin` } })
    await toldIn(t, one, new RegExp(`${file} may not be executed: chmod 755 ${file}`))
    t.match(apple.ns.exec('curl', '-sS', '-m', '5', `http://${berry.ip}/`), /berry on host 2/)
    await one.stop()
    t.same(nebulaTraces(one), [])
  })

  await t.test('a lighthouse that answers, and one that does not', async (t) => {
    await two.stop()
    const at = (ip: string): object => ({ enabled: true, lighthouses: { 1: [`${ip}:4242`] } })
    setNebula(one, at('192.0.2.1'))
    setNebula(two, at('192.0.2.1'))
    await Promise.all([one.start(), two.start()])
    await waitFor('the lighthouse answers', PATIENCE_MS, async () =>
      (await statusOf(two)).lighthouses.some(({ state }: { state: string }) => state === 'answers'),
    )
    const lighthouse = async () => (await found(two)).find(({ id }) => id === 'nebula-lighthouse')
    t.match(await lighthouse(), { state: 'ok', what: 'lighthouse 10.101.0.1 answers' })
    t.same((await statusOf(one)).lighthouses, [], 'it asks no other')
    await takeNebula(pair)
    await two.stop()
    setNebula(two, at('192.0.2.99'))
    await two.start()
    await waitFor('the lighthouse is silent', PATIENCE_MS, async () =>
      (await statusOf(two)).lighthouses.some(({ state }: { state: string }) => state === 'silent'),
    )
    t.match((await two.ok('status')).replace(/\s+/g, ' '), /lighthouse 10\.101\.0\.1 gives no answer/)
    t.match(await lighthouse(), { state: 'warn', fix: /UDP 4242/ })
    t.same(two.logged('lighthouse of nebula does not answer').at(-1)?.endpoint, '10.101.0.1')
  })
})

/** Signs host 1 as `flatnet nebula host` does, for a time that is over at once. */
function placeExpired(host: TestHost, crt: string): void {
  const isNew = nebulaVersion !== undefined && hasNetworkFlags(nebulaVersion)
  const [ip, slice] = isNew ? ['-networks', '-unsafe-networks'] : ['-ip', '-subnets']
  const [key, pub] = [fileOf(host, 'expired.key'), fileOf(host, 'expired.pub')]
  run('nebula-cert', ['keygen', '-out-key', key, '-out-pub', pub])
  const made = fileOf(host, 'expired.crt')
  run('nebula-cert', [
    ...['sign', '-name', 'host-1', ip, '10.101.0.1/16', slice, '10.100.1.0/24', '-groups', 'flatnet'],
    ...['-duration', '1ms', '-in-pub', pub, '-out-crt', made],
    ...['-ca-crt', fileOf(host, 'ca.crt'), '-ca-key', fileOf(host, 'ca.key')],
  ])
  renameSync(made, crt)
}
