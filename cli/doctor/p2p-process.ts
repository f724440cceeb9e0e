/**
 * Doctor, the process of direct paths: whether it runs, from which executable, what the kernel does for it, and its
 * unit.
 */
import type { P2pProcessStatus } from '../../gateway/dataplane/p2p/process-status.ts'
import type { Host } from '../host/host.ts'
import type { Places } from '../host/places.ts'
import { isSystemd, type UnitState, unitState } from '../host/service.ts'
import { gatewayStatus } from '../host/status.ts'
import { type Finding, hostCheck, ok, warn } from './check.ts'

export interface ProcessFacts {
  /** Direct paths are on, and the gateway is in a cluster and answers: otherwise there need not be a process. */
  readonly isWanted: boolean
  /** null: the gateway is connected to none. */
  readonly process: P2pProcessStatus | null
  /** Of this executable. */
  readonly version: string
  /** undefined: no systemd here, or no unit of the gateway: another service manager's affair. */
  readonly unit: UnitState | 'missing' | undefined
}

const UNIT = 'flatnet-p2p.service'
const SLOWER = "packets go by the gateways' connection meanwhile: nothing is lost but speed"

async function gatherProcess(host: Host, places: Places, version: string): Promise<ProcessFacts> {
  const status = await gatewayStatus(places).catch(() => undefined)
  const isUnitWanted = isSystemd() && unitState(host, 'flatnet-gateway.service') !== undefined
  return {
    isWanted: places.conf?.p2p.enabled === true && status !== undefined && status.cluster !== null,
    process: status?.p2p ?? null,
    version,
    unit: isUnitWanted ? (unitState(host, UNIT) ?? 'missing') : undefined,
  }
}

function judgeUnit({ unit }: ProcessFacts): Finding[] {
  if (unit === undefined) return []
  if (unit === 'missing') {
    const why = 'the process runs as a child of the gateway, and ends each time that systemd restarts it'
    return [warn('p2p-unit', `there is no ${UNIT}`, why, 'flatnet install writes and enables it')]
  }
  if (unit.active === 'active' && unit.enabled === 'enabled') return []
  return [
    warn(
      'p2p-unit',
      `${UNIT} is ${unit.active || 'unknown'} and ${unit.enabled || 'not installed for boot'}`,
      SLOWER,
      unit.active === 'failed'
        ? 'journalctl -u flatnet-p2p -n 20 says why'
        : `systemctl enable --now ${UNIT}`,
    ),
  ]
}

/** USO is of kernels from 6.2 on, and wanted by few packets: its absence is no finding. */
function judgeOffloads({ offloads: { gso, gro } }: P2pProcessStatus): Finding[] {
  const lacking = [...(gso ? [] : ['sending (GSO)']), ...(gro ? [] : ['receiving (GRO)'])]
  if (lacking.length === 0) return []
  return [
    warn(
      'p2p-offloads',
      `the kernel takes no batches of UDP datagrams when ${lacking.join(' and ')}`,
      'direct paths make a system call for each datagram, and carry a fraction of what they could',
      'Linux 5.0 has both; where a driver refused (the log says so): ethtool -K <interface> tx on, ' +
        'or a newer driver; then restart the P2P process',
    ),
  ]
}

export function judgeProcess(facts: ProcessFacts): Finding[] {
  const { isWanted, process, unit, version } = facts
  if (!isWanted) return []
  const units = judgeUnit(facts)
  const restart =
    unit === undefined ? `kill ${process?.pid}; the gateway starts it again` : 'systemctl restart flatnet-p2p'
  if (process === null) {
    const fix = 'systemctl status flatnet-p2p; without systemd <dataDir>/log/p2p.log says why it ended'
    return [...units, warn('p2p-process', 'the gateway is connected to no P2P process', SLOWER, fix)]
  }
  const state =
    process.version === version
      ? ok('p2p-process', `the P2P process ${process.version} runs, on UDP port ${process.port}`)
      : warn(
          'p2p-process',
          `the P2P process runs ${process.version}, this executable is ${version}`,
          'an upgrade leaves it running, so that no path breaks; what is new in it is not in use',
          `${restart}; packets go by the gateways' connection for some seconds`,
        )
  return [...units, state, ...judgeOffloads(process)]
}

export const check = hostCheck({
  name: 'p2p-process',
  gather: ({ host, places, version }) => gatherProcess(host, places, version),
  judge: judgeProcess,
})
