/** Answers of the API: JSON bodies, and errors with a stable code that says which status they have. */

import type { ServerResponse } from 'node:http'
import type { ApiError } from '../../core/api.ts'

/** Match on these, not on messages. */
export const STATUS_OF = {
  ERR_FLATNET_API_SYNTAX: 400,
  ERR_FLATNET_API_INVALID: 400,
  ERR_FLATNET_API_NOT_OURS: 403,
  ERR_FLATNET_API_NOT_FOUND: 404,
  ERR_FLATNET_API_METHOD: 405,
  ERR_FLATNET_API_ADDRESS_HELD: 409,
  ERR_FLATNET_API_CLUSTER: 409,
  ERR_FLATNET_API_LENGTH: 411,
  ERR_FLATNET_API_TOO_LARGE: 413,
  ERR_FLATNET_API_MEDIA_TYPE: 415,
  ERR_FLATNET_API_INTERNAL: 500,
  ERR_FLATNET_API_BUSY: 503,
} as const
export type ApiCode = keyof typeof STATUS_OF

/** Thrown by handlers; becomes an ApiError body. */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem'
  readonly code: ApiCode
  readonly problems: readonly string[] | undefined
  readonly headers: Readonly<Record<string, string>>
  constructor(
    code: ApiCode,
    message: string,
    options: {
      readonly problems?: readonly string[]
      readonly headers?: Readonly<Record<string, string>>
    } = {},
  ) {
    super(message)
    this.code = code
    this.problems = options.problems
    this.headers = options.headers ?? {}
  }
}

export function sendJson(
  res: ServerResponse,
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const body = Buffer.from(`${JSON.stringify(value)}\n`)
  res.writeHead(status, {
    'content-type': 'application/json',
    'content-length': body.length,
    'cache-control': 'no-store',
    ...headers,
  })
  res.end(body)
}

export function sendProblem(res: ServerResponse, problem: ApiProblem): void {
  const error: ApiError = {
    code: problem.code,
    message: problem.message,
    ...(problem.problems !== undefined && { problems: problem.problems }),
  }
  sendJson(res, STATUS_OF[problem.code], error, problem.headers)
}
