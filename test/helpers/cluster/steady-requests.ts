/**
 * A client that requests URLs in turn at a steady rate and records when each answer came, as people would notice it.
 */
import { Agent, get } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { ownProgram } from '../run/own-program.ts'

/** One request: when it was sent, ms since the start; how long it took; the status, or the error's code; which URL. */
export type Answer = readonly [at: number, ms: number, outcome: number | string, of: number]

const TIMEOUT_MS = 10_000

function ask(agent: Agent, urls: readonly string[], of: number, startedAt: number): Promise<Answer> {
  const sentAt = performance.now()
  return new Promise((resolve) => {
    const done = (outcome: number | string): void => {
      const now = performance.now()
      resolve([Math.round(sentAt - startedAt), Math.round(now - sentAt), outcome, of])
    }
    const req = get(urls[of] ?? '', { agent, timeout: TIMEOUT_MS }, (res) => {
      res.on('error', (err) => done(err.message))
      res.resume().on('end', () => done(res.statusCode ?? 0))
    })
    req.on('timeout', () => req.destroy(new Error('timeout')))
    req.on('error', (err) => done(err.message))
  })
}

/** Sends requests until stdin ends; prints the count at each answer, and all answers as JSON at the end. */
async function steady(perSecond = '100', ...urls: readonly string[]): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  let isOver = false
  process.stdin.resume().on('end', () => {
    isOver = true
  })
  const startedAt = performance.now()
  const all: Promise<Answer>[] = []
  let answered = 0
  const count = (): void => {
    process.stdout.write(`${++answered}\n`)
  }
  while (!isOver) {
    const answer = ask(agent, urls, all.length % urls.length, startedAt)
    all.push(answer)
    void answer.then(count)
    const next = startedAt + (all.length * 1_000) / Number(perSecond)
    await pause(Math.max(0, next - performance.now()))
  }
  const answers = await Promise.all(all)
  process.stdout.write(`${JSON.stringify(answers)}\n`)
  agent.destroy()
}

/** The command for a namespace: `steadyRequests(100, 'http://10.100.2.10/')`. */
export const steadyRequests = (perSecond: number, ...urls: readonly string[]): string[] =>
  ownProgram(import.meta.filename, perSecond, ...urls)

if (process.argv[1] === import.meta.filename) await steady(...process.argv.slice(2))
