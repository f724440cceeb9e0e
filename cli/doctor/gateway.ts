/** Doctor, the gateway: its configuration, its unit, and whether it answers. */

import { GatewayDownError } from '../host/client.ts'
import type { Host } from '../host/host.ts'
import type { Places } from '../host/places.ts'
import { howToRestart, howToStart, isSystemd, type UnitState, unitState } from '../host/service.ts'
import { gatewayStatus } from '../host/status.ts'
import { type Finding, fail, hostCheck, ok, warn } from './check.ts'

export interface GatewayFacts {
  readonly config: string
  readonly hasConf: boolean
  readonly confProblems: readonly string[]
  readonly socket: string
  /** `version` of `GET /v1/status`; the reason as text when it does not answer. */
  readonly answer:
    | { readonly version: string | undefined }
    | { readonly error: string; readonly silence?: GatewayDownError['silence'] }
  /** Sockets that the conflists name and the gateway does not listen on. */
  readonly strayEndpoints: readonly string[]
  /** Networks whose hostId, supernet or dataDir differ from flatnet.yaml: the gateway refuses what they announce. */
  readonly strayNetworks: readonly string[]
  /** undefined: no systemd here, or no such unit. */
  readonly unit: UnitState | undefined
  readonly hasSystemd: boolean
  readonly version: string
}

function strays(places: Places): Pick<GatewayFacts, 'strayEndpoints' | 'strayNetworks'> {
  const { conf, networks } = places
  if (conf === undefined) return { strayEndpoints: [], strayNetworks: [] }
  const differs = networks.filter(
    (n) =>
      n.slice !== undefined &&
      (n.slice.prefix.base !== conf.slice.base ||
        n.slice.prefix.prefixLen !== conf.slice.prefixLen ||
        n.conf.dataDir !== conf.dataDir),
  )
  return {
    strayEndpoints: networks
      .map((n) => n.conf.registrar.socketPath)
      .filter((path) => path !== conf.api.socket),
    strayNetworks: differs.map((n) => n.name),
  }
}

async function gatherGateway(host: Host, places: Places, version: string): Promise<GatewayFacts> {
  const answer = await gatewayStatus(places).then(
    (status) => ({ version: status.version }),
    (err: unknown) => ({
      error: err instanceof Error ? err.message : String(err),
      ...(err instanceof GatewayDownError && { silence: err.silence }),
    }),
  )
  const { confError } = places
  const problems =
    confError !== undefined && 'problems' in confError ? (confError.problems as string[]) : undefined
  return {
    config: places.config,
    hasConf: places.conf !== undefined || confError !== undefined,
    confProblems: problems ?? (confError === undefined ? [] : [confError.message]),
    socket: places.socket,
    answer,
    ...strays(places),
    unit: unitState(host, 'flatnet-gateway.service'),
    hasSystemd: isSystemd(),
    version,
  }
}

function judgeConf(f: GatewayFacts): Finding[] {
  if (!f.hasConf) {
    return [
      warn(
        'gateway-config',
        `there is no ${f.config}`,
        'the gateway does not start without its hostId',
        'flatnet install writes it, or name another file with --config',
      ),
    ]
  }
  if (f.confProblems.length > 0) {
    return [
      fail(
        'gateway-config',
        `${f.config}: ${f.confProblems.join('; ')}`,
        'the gateway does not start with it',
        'correct the keys named; docs/configuration.md lists all keys',
      ),
    ]
  }
  const checks: Finding[] = []
  if (f.strayEndpoints.length > 0) {
    checks.push(
      warn(
        'gateway-socket',
        `conflists announce to ${f.strayEndpoints.join(', ')}, the gateway listens on ${f.socket}`,
        'containers appear only with the next reconcile, up to 30 s later',
        `make registrar.endpoint of the conflist and api.socket of ${f.config} the same`,
      ),
    )
  }
  if (f.strayNetworks.length > 0) {
    checks.push(
      warn(
        'gateway-slice',
        `${f.strayNetworks.join(', ')} and ${f.config} differ in hostId, supernet, hostPrefix or dataDir`,
        'the gateway refuses addresses outside its slice: those containers are not shown and have no way in',
        `make them the same, then restart the gateway`,
      ),
    )
  }
  return checks.length > 0 ? checks : [ok('gateway-config', `${f.config} is valid`)]
}

function judgeUnit(f: GatewayFacts): Finding[] {
  if (f.unit === undefined) return []
  const { active, enabled } = f.unit
  if (active === 'active' && enabled === 'enabled')
    return [ok('gateway-unit', 'flatnet-gateway.service runs')]
  return [
    warn(
      'gateway-unit',
      `flatnet-gateway.service is ${active || 'unknown'} and ${enabled || 'not installed for boot'}`,
      'without it containers have addresses but no way in',
      active === 'failed'
        ? 'journalctl -u flatnet-gateway -n 20 says why'
        : 'systemctl enable --now flatnet-gateway.service',
    ),
  ]
}

function judgeAnswer(f: GatewayFacts): Finding {
  if ('error' in f.answer && f.answer.silence === 'denied') {
    return warn(
      'gateway',
      f.answer.error,
      'nothing can be said about the gateway and the other hosts',
      'run this as root, or let a group in: api.group in flatnet.yaml',
    )
  }
  if ('error' in f.answer) {
    return fail(
      'gateway',
      f.answer.error,
      'containers start and keep their addresses, but browsers cannot reach them and names are not known',
      (f.answer.silence === 'hangs' ? howToRestart : howToStart)(f.config, f.hasSystemd),
    )
  }
  const { version } = f.answer
  if (version !== undefined && version !== f.version) {
    return warn(
      'gateway',
      `the gateway runs ${version}, this executable is ${f.version}`,
      'the upgrade is done for new containers only',
      `${howToRestart(f.config, f.hasSystemd)} (requests in flight get 5 s to end)`,
    )
  }
  return ok('gateway', `the gateway answers on ${f.socket}`)
}

export const judgeGateway = (f: GatewayFacts): Finding[] => [...judgeConf(f), ...judgeUnit(f), judgeAnswer(f)]

export const check = hostCheck({
  name: 'gateway',
  gather: ({ host, places, version }) => gatherGateway(host, places, version),
  judge: judgeGateway,
})
