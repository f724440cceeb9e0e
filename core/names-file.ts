/** The file by which the gateway tells the plugin about its DNS; absent: it answers none. */

export interface NamesAnnouncement {
  /** The search domain of containers, `flatnet.internal`. */
  readonly domain: string
  /** Bridge addresses on which another program has port 53. */
  readonly taken: readonly string[]
}

/** Below dataDir. */
export const NAMES_FILE = 'gateway/names.json'
