/** The page for a request that no container answered: host, path state, reason, way out. */

import type { PathInfo } from '../../../core/api.ts'
import type { Form } from './accept.ts'
import { escapeHtml, page } from './html.ts'
import { plain } from './plain.ts'

export type Reason =
  | 'refused'
  | 'timeout'
  | 'unreachable'
  | 'gone'
  | 'reset'
  | 'bad-response'
  | 'response-timeout'
  | 'silent'
  | 'client-stalled'
  | 'bad-request'
  | 'long-head'
  | 'tunnel'
  | 'method'
  | 'coding'
  | 'busy'
  | 'loop'
  | 'misdirected'
  | 'internal'

export const STATUS_OF: Readonly<Record<Reason, number>> = {
  refused: 502,
  timeout: 504,
  unreachable: 503,
  gone: 503,
  reset: 502,
  'bad-response': 502,
  'response-timeout': 504,
  silent: 504,
  'client-stalled': 408,
  'bad-request': 400,
  'long-head': 431,
  tunnel: 405,
  method: 405,
  coding: 501,
  busy: 503,
  loop: 508,
  misdirected: 421,
  internal: 500,
}

const TITLES: Readonly<Record<Reason, string>> = {
  refused: 'The container refuses the connection',
  timeout: 'The container does not accept the connection',
  unreachable: 'The container is out of reach',
  gone: 'The container has just gone',
  reset: 'The container closed the connection without an answer',
  'bad-response': 'The container did not answer in HTTP',
  'response-timeout': 'The container took too long to answer',
  silent: 'The container went silent',
  'client-stalled': 'The client stopped sending its request',
  'bad-request': 'The request cannot be understood',
  'long-head': 'The head of the request is too long',
  tunnel: 'The gateway opens no tunnels',
  method: 'The gateway itself only answers GET and HEAD',
  coding: 'The gateway does not know this transfer coding',
  busy: 'The gateway is busy',
  loop: 'The request goes round in circles',
  misdirected: 'The gateway does not serve this name',
  internal: 'The gateway failed to handle the request',
}

export interface Problem {
  readonly reason: Reason
  /** Of this gateway. */
  readonly hostId: number
  /** Of the container; absent when the request reached none. */
  readonly container?: {
    readonly name: string
    readonly hostId: number
    readonly ip: string
    readonly port: number
    readonly path: PathInfo | undefined
  }
  /** One more sentence, plain text. */
  readonly detail?: string | undefined
}

function hintOf({ reason, container }: Problem): string | undefined {
  switch (reason) {
    case 'refused':
      return [
        `Nothing listens on port ${container?.port} in the container.`,
        'If its server uses another port, set FLATNET_PORT when you start it,',
        `or open ${container?.name}-<port> instead of ${container?.name}.`,
      ].join(' ')
    case 'timeout':
      return 'A firewall in the container may drop packets, or the container is paused or overloaded.'
    case 'unreachable':
      return 'Run "flatnet doctor" on its host.'
    case 'gone':
    case 'busy':
      return 'Try again.'
    case 'reset':
      return 'Its own log should say why. It may have executed the request: only GET, HEAD and OPTIONS are sent again.'
    case 'bad-response':
      return 'It may speak another protocol on this port, such as HTTPS.'
    case 'response-timeout':
      return 'It may still be working on the request. ingress.responseHeaderTimeoutMs sets how long the gateway waits.'
    case 'silent':
      return 'Its host acknowledged nothing of the request: the path may be broken, or the container paused.'
    case 'loop':
      return [
        'A container sends requests from the gateway back to the gateway.',
        'Configure it with the address of the container that it means, or let it remove X-Flatnet-Via.',
      ].join(' ')
    case 'long-head':
      return 'ingress.maxHeaderBytes sets how long it may be.'
    case 'client-stalled':
    case 'bad-request':
    case 'tunnel':
    case 'method':
    case 'coding':
    case 'internal':
    case 'misdirected':
      return undefined
  }
}

function factsOf({ hostId, container, reason }: Problem): [string, string][] {
  const by: [string, string] = ['gateway', `host ${hostId}`]
  if (container === undefined) return [by]
  const { name, ip, port, path } = container
  const state = path === undefined ? 'unknown' : `${path.state} (${path.reason})`
  return [
    by,
    ['container', `${name} at ${ip}:${port}, host ${container.hostId}`],
    ['path', state],
    ['reason', reason],
  ]
}

export function renderProblem(problem: Problem, form: Form): string {
  const title = TITLES[problem.reason]
  const hint = hintOf(problem)
  const facts = factsOf(problem)
  if (form === 'json') return `${JSON.stringify(asJson(problem, title, hint))}\n`
  const sentences = [problem.detail, hint].filter((s) => s !== undefined)
  if (form === 'text') return plain([title, ...sentences, ...facts.map(([k, v]) => `${k}: ${v}`)])
  const items = facts.map(([k, v]) => `<li>${k}: <code>${escapeHtml(v)}</code></li>`).join('')
  return page(title, `${sentences.map((s) => `<p>${escapeHtml(s)}</p>`).join('\n')}\n<ul>${items}</ul>\n`)
}

function asJson(
  { reason, hostId, container, detail }: Problem,
  message: string,
  hint: string | undefined,
): unknown {
  return {
    code: reason,
    message,
    ...(detail !== undefined && { detail }),
    ...(hint !== undefined && { hint }),
    hostId,
    ...(container !== undefined && { container: { ...container, path: container.path ?? null } }),
  }
}
