/** The text of the files that ship with Flatnet, read from this folder; bin/build.ts puts the texts in the place of the calls. */
import { readFileSync } from 'node:fs'

/** Only literal arguments: the build looks for `embedText('...')`, and the executable has no files beside it. */
const embedText = (file: string): string => readFileSync(new URL(file, import.meta.url), 'utf8')

const TEXTS = {
  /** CNI network configuration list, JSON; `flatnet install` fills in the host's own values. */
  'flatnet.conflist': () => embedText('./flatnet.conflist'),
  /** The ruleset of table `inet flatnet`, for `nft -f -`. */
  'flatnet.nft': () => embedText('./flatnet.nft'),
  /** The gateway's configuration, YAML with comments. */
  'flatnet.yaml': () => embedText('./flatnet.yaml'),
  /** The systemd unit of the gateway. */
  'flatnet-gateway.service': () => embedText('./flatnet-gateway.service'),
} as const

/** Read when asked for: the plugin needs one of them, once per boot. */
export const templateText = (name: keyof typeof TEXTS): string => TEXTS[name]()
