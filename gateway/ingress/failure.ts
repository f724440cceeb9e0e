/** Counts, logs and explains a request to a container that failed. */

import { attachmentKey } from '../../core/attachment.ts'
import type { Millis } from '../../core/clock.ts'
import { hasCode } from '../../core/errors.ts'
import type { IngressDeps } from './deps.ts'
import type { Problem, Reason } from './pages/problem.ts'
import type { Target } from './route.ts'

export interface FailedRequest {
  readonly deps: IngressDeps
  readonly target: Target
  /** Monotonic. */
  readonly startedAt: Millis
}

export function failed(request: FailedRequest, reason: Reason, err?: unknown): Problem {
  const { metrics, conf, paths } = request.deps
  const { assignment, ip, port } = request.target
  const help = 'Requests that the gateway had to answer itself'
  metrics.count('flatnet_ingress_failures_total', help, { reason })
  logFailure(request, 'request failed', err ?? new Error(reason))
  return {
    reason,
    hostId: conf.hostId,
    container: {
      name: assignment.name ?? ip,
      hostId: assignment.hostId,
      ip,
      port,
      path: paths.get(assignment.hostId),
    },
    detail: detailOf(reason, err),
  }
}

/** The rule that refused an answer, or what the kernel said. */
function detailOf(reason: Reason, err: unknown): string | undefined {
  if (!(err instanceof Error)) return undefined
  if (reason === 'bad-response') return `Its answer breaks a rule: ${err.message}.`
  return err.cause instanceof Error ? err.cause.message : undefined
}

export function logFailure({ deps, target, startedAt }: FailedRequest, event: string, err: unknown): void {
  const { assignment, ip, port } = target
  const path = deps.paths.get(assignment.hostId)?.state
  const durationMs = Math.round(performance.now() - startedAt)
  deps.log.warn(
    { attachment: attachmentKey(assignment), endpoint: `${ip}:${port}`, path, durationMs, err },
    event,
  )
}

/** For a connection that broke before the answer began. ETIMEDOUT: the request was never acknowledged, see `dial`. */
export const reasonOfLoss = (err: unknown): Reason => (hasCode(err, 'ETIMEDOUT') ? 'silent' : 'reset')
