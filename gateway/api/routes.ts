/** Which call a request is: method and path to a handler, with 404 and 405 as HTTP wants them. */

import { ApiProblem } from './answer.ts'

export interface Matched<H> {
  readonly handler: H
  /** Percent-decoded, in the order of the `*` in the pattern. */
  readonly params: readonly string[]
}

export interface Route<H> {
  /** GET answers HEAD as well. */
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** e.g. `/v1/paths/*`: `*` is one segment, not empty. */
  readonly pattern: string
  readonly handler: H
}

/** @throws {ApiProblem} 404 unknown path; 405 with Allow; 400 when a segment is not percent-encoded UTF-8 */
export function matchRoute<H>(routes: readonly Route<H>[], method: string, path: string): Matched<H> {
  const segments = path.split('/')
  const here = routes.filter((route) => fits(route.pattern.split('/'), segments))
  if (here.length === 0) throw new ApiProblem('ERR_FLATNET_API_NOT_FOUND', 'no such path')
  const wanted = method === 'HEAD' ? 'GET' : method
  const route = here.find((r) => r.method === wanted)
  if (route === undefined) {
    const allow = here.flatMap((r) => (r.method === 'GET' ? ['GET', 'HEAD'] : [r.method])).join(', ')
    throw new ApiProblem('ERR_FLATNET_API_METHOD', `this path takes ${allow}`, { headers: { allow } })
  }
  const pattern = route.pattern.split('/')
  return { handler: route.handler, params: segments.filter((_, i) => pattern[i] === '*').map(decoded) }
}

const fits = (pattern: readonly string[], segments: readonly string[]): boolean =>
  pattern.length === segments.length &&
  pattern.every((p, i) => (p === '*' ? segments[i] !== '' : p === segments[i]))

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    throw new ApiProblem('ERR_FLATNET_API_SYNTAX', 'the path is not percent-encoded UTF-8')
  }
}
