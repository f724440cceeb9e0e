/** CNI versions: which we speak, which verbs each knows, and their order. */

import { FlatnetError } from '../core/errors.ts'

/** Exact strings, ascending: libcni compares them as strings. */
export const SUPPORTED_VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const
export type CniVersion = (typeof SUPPORTED_VERSIONS)[number]

/** In error objects and VERSION answers when the input names no version of ours. */
export const CURRENT_VERSION: CniVersion = '1.1.0'

/** Absent means 0.1.0 (libcni). */
const ABSENT = '0.1.0'

const isSupported = (text: string): text is CniVersion =>
  (SUPPORTED_VERSIONS as readonly string[]).includes(text)

export const atLeast = (version: CniVersion, least: CniVersion): boolean =>
  SUPPORTED_VERSIONS.indexOf(version) >= SUPPORTED_VERSIONS.indexOf(least)

/** @throws {FlatnetError} code 1 with both sides named */
export function checkVersion(value: unknown): CniVersion {
  const text = value === undefined || value === '' ? ABSENT : value
  if (typeof text === 'string' && isSupported(text)) return text
  throw new FlatnetError('ERR_FLATNET_VERSION', 'incompatible CNI versions', {
    details: `config is ${JSON.stringify(text)}, plugin supports ${JSON.stringify(SUPPORTED_VERSIONS)}`,
  })
}

/** CHECK came with 0.4.0, GC and STATUS with 1.1.0. */
const SINCE = { CHECK: '0.4.0', GC: '1.1.0', STATUS: '1.1.0' } as const

export function checkVerbVersion(verb: string, version: CniVersion): void {
  const least = verb === 'CHECK' || verb === 'GC' || verb === 'STATUS' ? SINCE[verb] : undefined
  if (least !== undefined && !atLeast(version, least)) {
    throw new FlatnetError('ERR_FLATNET_VERSION', `config version does not allow ${verb}`, {
      details: `config is "${version}", ${verb} needs "${least}" or later`,
    })
  }
}

/** What to put into an error object: the config's version if it is a string at all. */
export const versionForError = (value: unknown): string =>
  typeof value === 'string' && value !== '' ? value : CURRENT_VERSION
