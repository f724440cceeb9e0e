/** What install is given, and what it is going to do with one file. */

import type { Dialect } from '../host/podman-dialect.ts'
import type { NetworkOptions } from './conflist.ts'

export interface InstallOptions extends NetworkOptions {
  readonly config: string
  /** What Podman reads: a conflist or a network file. */
  readonly dialect: Dialect
  readonly cniConfDir: string
  readonly networkFileDir: string
  /** Where the plugin goes. */
  readonly pluginDir: string
  /** Another CNI runtime of this host, such as containerd: its conflist stays beside Podman 5's network file. */
  readonly cniRuntime?: string | undefined
  readonly binDir: string
  readonly systemdDir: string
  readonly listen?: string | undefined
  readonly peersListen?: string | undefined
  readonly advertise?: readonly string[] | undefined
  readonly hasService: boolean
  readonly isForced: boolean
}

/** A file as it should be; `keep`: it stays as it is, for the reason in `note`. */
export interface FilePlan {
  readonly path: string
  /** Where it lies now, when that is elsewhere. */
  readonly from?: string
  /** What goes once it is written. */
  readonly replaced?: readonly string[]
  /** The text stays as it is. */
  readonly isOnlyMoved?: boolean
  readonly text: string
  readonly action: 'write' | 'keep'
  /** The one in place was changed by hand, or is not ours. */
  readonly needsBackup: boolean
  readonly note: string
}
