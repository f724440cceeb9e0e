/** The JSON body of a request, read within bounds. */

import type { IncomingMessage } from 'node:http'
import { ApiProblem } from './answer.ts'

/**
 * A usual assignment has 500 bytes, and one with 600 published ports fits. A larger one reaches the registry by its
 * lease.
 */
const MAX_BODY_BYTES = 65_536

/** So much of a body that is too large is read and dropped, so that its sender reads the answer and no reset. */
const MAX_DROPPED_BYTES = 1_048_576

const tooLarge = (headers: Record<string, string> = {}): ApiProblem =>
  new ApiProblem('ERR_FLATNET_API_TOO_LARGE', `the body is larger than ${MAX_BODY_BYTES} bytes`, { headers })

/** @throws {ApiProblem} 411, 413, 415, or 400 when it is not JSON in UTF-8 */
export async function readJson(req: IncomingMessage): Promise<unknown> {
  const type = req.headers['content-type']
  if (type !== undefined && !/^application\/json\s*(?:;\s*charset="?utf-8"?\s*)?$/i.test(type.trim())) {
    throw new ApiProblem('ERR_FLATNET_API_MEDIA_TYPE', 'the body must be application/json')
  }
  if (req.headers['content-length'] === undefined && req.headers['transfer-encoding'] === undefined) {
    throw new ApiProblem('ERR_FLATNET_API_LENGTH', 'a body with its length is needed')
  }
  const text = await readText(req)
  try {
    return JSON.parse(text)
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    throw new ApiProblem('ERR_FLATNET_API_SYNTAX', `the body is not JSON: ${why}`)
  }
}

async function readText(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  // Not `for await`: leaving its loop early destroys the socket before the answer is out.
  await new Promise<void>((resolve, reject) => {
    req.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= MAX_BODY_BYTES) chunks.push(chunk)
      else if (size > MAX_DROPPED_BYTES) reject(tooLarge({ connection: 'close' }))
    })
    req.on('end', () => (size > MAX_BODY_BYTES ? reject(tooLarge()) : resolve()))
    req.on('error', reject)
    req.on('close', () => reject(new ApiProblem('ERR_FLATNET_API_SYNTAX', 'the body ended too early')))
  })
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch {
    throw new ApiProblem('ERR_FLATNET_API_SYNTAX', 'the body is not UTF-8')
  }
}
