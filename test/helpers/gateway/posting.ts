/**
 * A server that writes down each request it executes, and a client that posts numbered requests: for tests of "exactly
 * once".
 */
import { appendFileSync } from 'node:fs'
import { Agent, createServer, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { ownProgram } from '../run/own-program.ts'

/** `serve <port> <file>`: each POST appends its `x-id` to the file, then answers with it. */
function serve(port = '0', file = ''): void {
  const server = createServer((req, res) => {
    req.resume().on('end', () => {
      const id = String(req.headers['x-id'])
      appendFileSync(file, `${id}\n`)
      setTimeout(() => res.end(id), Number(id) % 20)
    })
  })
  server.listen(Number(port), () => process.stdout.write('listening\n'))
}

/** What became of one request: a status, or the client's error. */
export type Outcome = readonly [id: number, outcome: number | string]

function post(agent: Agent, url: string, id: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const headers = { 'x-id': String(id), 'content-type': 'text/plain' }
    const req = request(url, { method: 'POST', agent, headers, timeout: 20_000 }, (res) => {
      let body = ''
      res.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      res.on('error', (err) => resolve([id, err.message]))
      res.on('end', () =>
        resolve([
          id,
          res.statusCode === 200 && body !== String(id) ? 'not its answer' : (res.statusCode ?? 0),
        ]),
      )
    })
    req.on('timeout', () => req.destroy(new Error('timeout')))
    req.on('error', (err) => resolve([id, err.message]))
    req.end('x'.repeat(id % 3_000))
  })
}

/** `post <url> <clients>`: posts until stdin ends, then prints all outcomes as one line of JSON. */
async function postAll(url = '', clients = '1'): Promise<void> {
  const agent = new Agent({ keepAlive: true })
  const outcomes: Outcome[] = []
  let isOver = false
  let next = 0
  process.stdin.resume().on('end', () => {
    isOver = true
  })
  const client = async (): Promise<void> => {
    while (!isOver) {
      outcomes.push(await post(agent, url, next++))
      if (outcomes.length % 50 === 0) process.stdout.write(`${outcomes.length}\n`)
      await pause(10)
    }
  }
  await Promise.all(Array.from({ length: Number(clients) }, client))
  // Written in full before the end: a pipe takes some 100 KB at once.
  process.stdout.write(`${JSON.stringify(outcomes)}\n`, () => process.exit(0))
}

const PROGRAMS = { serve, post: postAll } as const

/** The command for one of these programs. */
export const posting = (
  program: keyof typeof PROGRAMS,
  ...args: (string | number)[]
): [string, ...string[]] => ownProgram(import.meta.filename, program, ...args)

if (process.argv[1] === import.meta.filename) {
  const [, , program = '', ...args] = process.argv
  await PROGRAMS[program as keyof typeof PROGRAMS]?.(...args)
}
