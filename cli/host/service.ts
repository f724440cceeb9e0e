/** How a person starts the gateway of this host and reads its log: by systemd, or by hand without it. */

import { existsSync } from 'node:fs'
import { DEFAULT_DAEMON_CONF } from '../../conf/daemon.ts'
import type { Host } from './host.ts'

export const isSystemd = (): boolean => existsSync('/run/systemd/system')

const byHand = (config: string): string => `flatnet gateway --config ${config}`

/** For a gateway that does not run. */
export const howToStart = (config = DEFAULT_DAEMON_CONF, hasSystemd = isSystemd()): string =>
  hasSystemd ? `systemctl start flatnet-gateway, or: ${byHand(config)}` : byHand(config)

/** For one that runs. */
export const howToRestart = (config = DEFAULT_DAEMON_CONF, hasSystemd = isSystemd()): string =>
  hasSystemd
    ? 'systemctl restart flatnet-gateway'
    : `end the gateway with SIGTERM and start it again: ${byHand(config)}`

export const itsLog = (hasSystemd = isSystemd()): string =>
  hasSystemd ? 'journalctl -u flatnet-gateway' : 'what the gateway printed, or log.file of flatnet.yaml'

export interface UnitState {
  /** `active`, `inactive`, `failed` … */
  readonly active: string
  /** `enabled`, `disabled` …; `''`: it has no part of its own for the boot. */
  readonly enabled: string
}

/** @returns undefined: no systemd here, or no such unit */
export function unitState(host: Host, unit: string): UnitState | undefined {
  const ran = host.run('systemctl', ['show', unit, '-p', 'LoadState,ActiveState,UnitFileState'])
  const value = (key: string): string => ran?.stdout.match(new RegExp(`^${key}=(.*)$`, 'm'))?.[1] ?? ''
  if (value('LoadState') !== 'loaded') return undefined
  return { active: value('ActiveState'), enabled: value('UnitFileState') }
}
