/** Finds out what `paths.turn` leaves open: a server's address, and what is in the file with its secret. */

import { readFile } from 'node:fs/promises'
import type { TurnConf } from '../../../conf/turn.ts'
import type { TurnServer } from '../nat/turn/allocation.ts'
import { fileProblem, LOOK_FURTHER, nameProblem, type TurnProblem } from '../nat/turn/problems.ts'
import { lookUp } from './stun-servers.ts'

const MAX_SECRET = 255
/** One after the other is asked, for 4.5 s each if it is silent. */
const MAX_ADDRESSES = 4

/** Why a server of `paths.turn` cannot be asked; the message has no secret in it. */
class TurnLookupError extends Error {
  override readonly name = 'TurnLookupError'
  readonly told: TurnProblem

  constructor(told: TurnProblem, options?: ErrorOptions) {
    super(told.problem, options)
    this.told = told
  }
}

const textOf = (err: unknown): string => (err instanceof Error ? err.message : String(err))

/** @throws {TurnLookupError} the name is not known, or the file cannot be used */
export async function findTurnServer(conf: TurnConf): Promise<TurnServer> {
  const { server: name, username, password, passwordFile, secret, secretFile } = conf
  const found = await lookUp(name).catch((cause: unknown) => {
    throw new TurnLookupError(nameProblem(textOf(cause)), { cause })
  })
  // By IPv4 a server relays for IPv4, which most peers have.
  const [v4, v6] = [false, true].map((isV6) => found.filter((endpoint) => endpoint.startsWith('[') === isV6))
  const [address, ...others] = [...new Set([...(v4 ?? []), ...(v6 ?? [])])].slice(0, MAX_ADDRESSES)
  if (address === undefined) throw new TurnLookupError(nameProblem('its name has no address'))
  const server = { name, address, username, ...(others.length > 0 && { others }) }
  if (secretFile !== undefined) return { ...server, secret: await firstLine(secretFile) }
  if (passwordFile !== undefined) return { ...server, password: await firstLine(passwordFile) }
  return secret === undefined ? { ...server, password: password ?? '' } : { ...server, secret }
}

async function firstLine(path: string): Promise<string> {
  const content = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new TurnLookupError(fileProblem(textOf(cause)), { cause })
  })
  const [line = ''] = content.split('\n')
  const text = line.trimEnd()
  if (text === '' || text.length > MAX_SECRET)
    throw new TurnLookupError(
      fileProblem(`${path}: its first line must be the password or secret, 1 to ${MAX_SECRET} characters`),
    )
  return text
}

/** What to tell of an error of `findTurnServer`. */
export const toldOf = (err: unknown): TurnProblem =>
  err instanceof TurnLookupError ? err.told : { problem: textOf(err), remedy: LOOK_FURTHER }
