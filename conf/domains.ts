/** Reads `ingress.domains`: the names under which browsers reach containers. */

import type { Reader } from './reader.ts'

/** RFC 1123 2.1: labels of at most 63 letters, digits and "-"; "_" is found in practice. */
const DOMAIN_RE = /^(?=.{1,253}$)(?:\*\.)?[a-z0-9_](?:[\w-]{0,62})(?:\.[a-z0-9_][\w-]{0,62})*$/i

export function readDomains(reader: Reader, key: string): readonly string[] {
  const given = reader.array(key)
  const domains = given.filter((d) => typeof d === 'string' && DOMAIN_RE.test(d))
  if (domains.length < given.length || domains.length > 64)
    reader.problem(key, 'must be at most 64 names, e.g. ["*.corp.example", "flatnet.corp.example"]')
  return domains as string[]
}
