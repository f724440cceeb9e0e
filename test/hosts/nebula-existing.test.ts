/**
 * A Nebula that was there before Flatnet: its CA, its lighthouse, its addresses. As docs/operations/nebula.md tells it.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { hasNetworkFlags, needsLocalCidr } from '../../gateway/dataplane/nebula/version.ts'
import type { TestHost, TestNet } from '../helpers/cluster/hosts.ts'
import {
  METRICS_OF_OWN,
  nebulaPair,
  nebulaPid,
  nebulaVersion,
  setNebula,
  takeNebula,
  usable,
} from '../helpers/cluster/nebula-pair.ts'
import { PATIENCE_MS, pathTo } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot, run } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const noNebula = nebulaVersion === undefined && 'nebula is not installed'
const [isNew, hasRules] =
  nebulaVersion === undefined
    ? [false, false]
    : [hasNetworkFlags(nebulaVersion), needsLocalCidr(nebulaVersion)]

/** Of hosts 1 and 2, and of the lighthouse on machine 3, which is no host of Flatnet's. */
const ADDRESS: Readonly<Record<number, string>> = {
  1: '192.168.77.4',
  2: '192.168.77.7',
  3: '192.168.77.200',
}
const caFolder = ({ host }: TestNet): string => join(host(3).dir, 'pki')

function makeCa(net: TestNet): void {
  mkdirSync(caFolder(net), { recursive: true })
  // Where releases differ in certificates, theirs are of the newer version.
  const more = isNew ? ['-version', '2'] : []
  const out = ['-out-crt', `${caFolder(net)}/ca.crt`, '-out-key', `${caFolder(net)}/ca.key`]
  run('nebula-cert', ['ca', '-name', 'theirs', ...more, ...out])
}

function sign(net: TestNet, index: number): void {
  const folder = caFolder(net)
  const [ip, slice] = isNew ? ['-networks', '-unsafe-networks'] : ['-ip', '-subnets']
  const host = index === 3 ? [] : [slice, `10.100.${index}.0/24`, '-groups', 'flatnet']
  const ca = ['-ca-crt', `${folder}/ca.crt`, '-ca-key', `${folder}/ca.key`]
  const out = ['-out-crt', `${folder}/${index}.crt`, '-out-key', `${folder}/${index}.key`]
  run('nebula-cert', ['sign', '-name', `m${index}`, ip, `${ADDRESS[index]}/24`, ...host, ...ca, ...out])
}

/** Theirs, with what Flatnet needs of it. */
function nebulaOf(net: TestNet, index: number): object {
  const folder = caFolder(net)
  const isLighthouse = index === 3
  const any = { port: 'any', proto: 'any' }
  const group = { ...any, group: 'flatnet' }
  const other = 3 - index
  return {
    pki: { ca: `${folder}/ca.crt`, cert: `${folder}/${index}.crt`, key: `${folder}/${index}.key` },
    static_host_map: isLighthouse ? {} : { [ADDRESS[3] ?? '']: ['192.0.2.3:4242'] },
    lighthouse: {
      am_lighthouse: isLighthouse,
      interval: 10,
      hosts: isLighthouse ? [] : [ADDRESS[3]],
      local_allow_list: { interfaces: { 'flatnet.*': false, 'fn[0-9a-f]*': false }, '10.100.0.0/16': false },
      remote_allow_list: { '10.100.0.0/16': false },
    },
    listen: { host: '[::]', port: 4242 },
    punchy: { punch: true },
    tun: {
      dev: 'nebula1',
      mtu: 1300,
      unsafe_routes: isLighthouse
        ? []
        : [{ route: `10.100.${other}.0/24`, via: ADDRESS[other], metric: 300 }],
    },
    logging: { level: 'warning' },
    firewall: {
      outbound: [
        { ...any, host: 'any' },
        ...(hasRules ? [{ ...any, host: 'any', local_cidr: `10.100.${index}.0/24` }] : []),
      ],
      inbound: [
        group,
        ...(hasRules && !isLighthouse ? [{ ...group, local_cidr: `10.100.${index}.0/24` }] : []),
      ],
    },
  }
}

function runTheirs(net: TestNet, index: number): void {
  const host = net.host(index)
  const file = join(host.dir, 'nebula.yml')
  mkdirSync(host.dir, { recursive: true })
  writeFileSync(file, stringify(nebulaOf(net, index)))
  host.spawn('nebula', '-config', file)
}

const runs = (host: TestHost): Promise<number> => waitFor('Nebula runs', PATIENCE_MS, () => nebulaPid(host))

const name = `a Nebula ${nebulaVersion?.text} with a CA and a lighthouse of its own`

t.test(name, { skip: needsRoot || noNebula, timeout: 600_000 }, async (t) => {
  const pair = await nebulaPair(t, {
    spare: 1,
    async arrange(net) {
      makeCa(net)
      for (const index of [1, 2, 3]) sign(net, index)
      for (const index of [3, 1, 2]) runTheirs(net, index)
      for (const host of [net.host(1), net.host(2)]) setNebula(host, { enabled: true, device: 'nebula1' })
    },
  })
  const { net, one, two, apple, berry } = pair

  await t.test('the gateways use its device, as it is', async (t) => {
    await Promise.all([usable(one), usable(two)])
    const pid = await runs(one)
    await takeNebula(pair, METRICS_OF_OWN)
    t.match(apple.ns.exec('curl', '-sS', '-m', '5', `http://${berry.ip}/`), /berry on host 2/)
    t.match((await pathTo(one, 2)).nebula?.address, /^192\.168\.77\.7:\d+$/, 'the address is the real one')
    const { stdout } = await one.flatnet('doctor', '--json')
    const found = JSON.parse(stdout).filter(({ id }: { id: string }) => id.startsWith('nebula'))
    t.match(found, [{ id: 'nebula-device', state: 'ok', what: 'nebula1 is up and carries to 1 host' }])
    await Promise.all([one.stop(), two.stop()])
    t.equal(nebulaPid(one), pid, 'it goes on without the gateway')
  })

  await t.test('a Nebula of the gateways, by the same CA and lighthouse', async (t) => {
    for (const host of [one, two]) process.kill(await runs(host), 'SIGTERM')
    const nebula = {
      enabled: true,
      network: '192.168.77.0/24',
      lighthouses: { '192.168.77.200': ['192.0.2.3:4242'] },
    }
    for (const host of [one, two]) {
      await waitFor('theirs has ended', PATIENCE_MS, () => nebulaPid(host) === undefined)
      setNebula(host, nebula)
      await host.ok('nebula', 'host', '--ca', caFolder(net))
    }
    await Promise.all([one.start(), two.start()])
    await takeNebula(pair)
    t.match((await pathTo(one, 2)).nebula?.address, /^192\.168\.77\.2:\d+$/)
    t.same((await one.api('/v1/status')).nebula.lighthouses, [
      { address: '192.168.77.200', state: 'answers' },
    ])
    t.match(apple.ns.exec('curl', '-sS', '-m', '5', `http://${berry.ip}/`), /berry on host 2/)
  })
})
