/**
 * The text of the files that ship with Flatnet, read from this folder.
 *
 * build/plugins.ts puts the texts in the place of the calls.
 */

import { readFileSync } from 'node:fs'

/** Only literal arguments: the build looks for `embedText('...')` and the executable has no files beside it. */
const embedText = (file: string): string => readFileSync(new URL(file, import.meta.url), 'utf8')

/** CNI network configuration list, JSON; `flatnet install` fills in the host's own values. */
export const conflistTemplate = (): string => embedText('./flatnet.conflist')

/** The ruleset of table `inet flatnet`, for `nft -f -`. */
export const nftTemplate = (): string => embedText('./flatnet.nft')

/** The gateway's configuration, YAML with comments. */
export const daemonTemplate = (): string => embedText('./flatnet.yaml')

/** The systemd unit of the P2P process. */
export const p2pUnitTemplate = (): string => embedText('./flatnet-p2p.service')

/** The systemd unit of the gateway. */
export const unitTemplate = (): string => embedText('./flatnet-gateway.service')
