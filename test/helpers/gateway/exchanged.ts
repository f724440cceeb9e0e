/** Plays one exchange of the corpus through a proxy and says in a line what became of it. */

import { connect, type Socket } from 'node:net'
import type { Test } from 'tap'
import type { Exchanged } from '../../fixtures/ingress-corpus.ts'
import { type Scripted, scriptedContainer } from './gateway-upstream.ts'

/** For one exchange; every one of the corpus ends much sooner, but a busy machine is slow. */
const LIMIT_MS = 8000
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok'

interface Message {
  /** First line. */
  readonly start: string
  readonly body: string
  readonly isWhole: boolean
  readonly rest: string
}

/** @param isAnswer without framing it ends with the connection @returns undefined: its head is not whole */
function readMessage(text: string, isAnswer: boolean, isHead = false): Message | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const head = text.slice(0, end + 2)
  const [start = ''] = head.split('\r\n')
  const rest = text.slice(end + 4)
  if (isHead || / (?:1\d\d|204|304)\b/.test(isAnswer ? start : ''))
    return { start, body: '', isWhole: true, rest }
  if (/^transfer-encoding:/im.test(head)) return { start, ...readChunks(rest) }
  const length = Number(/^content-length:\s*(\d+)/im.exec(head)?.[1] ?? (isAnswer ? Number.NaN : 0))
  if (Number.isNaN(length)) return { start, body: rest, isWhole: false, rest: '' }
  return { start, body: rest.slice(0, length), isWhole: rest.length >= length, rest: rest.slice(length) }
}

function readChunks(text: string): Omit<Message, 'start'> {
  let body = ''
  let at = 0
  for (;;) {
    const [line, digits] = /^([\da-f]+)[^\n]*\n/i.exec(text.slice(at)) ?? []
    if (line === undefined) return { body, isWhole: false, rest: '' }
    at += line.length
    const size = Number.parseInt(digits!, 16)
    if (size === 0) {
      const end = text.indexOf('\r\n', at)
      return { body, isWhole: end >= 0, rest: text.slice(text.indexOf('\r\n\r\n', at - 2) + 4) }
    }
    body += text.slice(at, at + size)
    at += size + 2
  }
}

export class CorpusContainer {
  #now: Exchanged | undefined
  #seen: string[] = []
  at!: Scripted['at']

  static async start(t: Pick<Test, 'teardown'>): Promise<CorpusContainer> {
    const container = new CorpusContainer()
    const { at } = await scriptedContainer(t, [(socket) => container.#serve(socket)])
    container.at = at
    return container
  }

  begin(exchanged: Exchanged): string[] {
    this.#now = exchanged
    this.#seen = []
    return this.#seen
  }

  #serve(socket: Socket): void {
    let text = ''
    let isSwitched = false
    socket.on('data', (chunk: Buffer) => {
      const { answer = OK, isEarly } = this.#now!
      if (isSwitched) {
        socket.end(chunk.toString('latin1').toUpperCase())
        return
      }
      text += chunk.toString('latin1')
      const request = readMessage(text, false)
      if (request === undefined || !(request.isWhole || isEarly === true)) return
      const [method, target] = request.start.split(' ')
      this.#seen.push(isEarly === true ? `${method}` : `${method} ${target} ${JSON.stringify(request.body)}`)
      isSwitched = answer.startsWith('HTTP/1.1 101') && /^upgrade:/im.test(text)
      text = ''
      if (isEarly === true) socket.pause().write(answer, 'latin1', () => socket.destroy())
      else if (isSwitched) socket.write(answer, 'latin1')
      else socket.end(answer, 'latin1')
    })
  }
}

/** @returns in the words of `Exchanged.verdict` */
export async function verdictOf(
  port: number,
  container: CorpusContainer,
  exchanged: Exchanged,
): Promise<string> {
  const seen = container.begin(exchanged)
  const { text, isTimeout } = await send(port, exchanged)
  const got = clientView(text, exchanged)
  if (isTimeout) return `no end: ${JSON.stringify(text.slice(0, 200))}`
  if (seen.length === 0) return /^(?:4|5)/.test(got) || got === 'nothing' ? 'refused' : `by itself: ${got}`
  return `${seen.join(' + ')} → ${got}`
}

function clientView(text: string, { request, answers = 1 }: Exchanged): string {
  const got: string[] = []
  let rest = text
  for (let n = 0; n < answers; ) {
    const message = readMessage(rest, true, request.startsWith('HEAD'))
    if (message === undefined) return got.length === 0 ? 'nothing' : got.join(' + ')
    const status = message.start.split(' ')[1]!
    rest = message.rest
    if (status === '101') return `101 ${JSON.stringify(rest)}`
    // HTTP/1.0 to a client of HTTP/1.0, or the like: its end is that of the connection.
    const hasFraming = /^(?:content-length|transfer-encoding):/im.test(text)
    if (status === '103') got.push('103')
    else if (status === '502' || status === '504') return '502'
    else if (status.startsWith('1')) continue
    else {
      n++
      got.push(message.isWhole || !hasFraming ? `${status} ${JSON.stringify(message.body)}` : 'broken')
    }
  }
  return got.join(answers > 1 ? ' + ' : ' ')
}

function send(port: number, exchanged: Exchanged): Promise<{ text: string; isTimeout: boolean }> {
  return new Promise((resolve) => {
    let text = ''
    let isPinged = false
    const isUpgrade = /^upgrade:/im.test(exchanged.request)
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const done = (isTimeout: boolean) => (): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ text, isTimeout })
    }
    const timer = setTimeout(done(true), LIMIT_MS)
    socket.on('error', done(false))
    socket.on('end', done(false))
    socket.on('close', done(false))
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const [, status] = /^HTTP\/1\.1 (\d+) /.exec(text) ?? []
      // Neither proxy closes a connection whose upgrade was refused.
      if (isUpgrade && status === '200' && readMessage(text, true)?.isWhole === true) done(false)()
      if (isPinged || !/^HTTP\/1\.1 101 [\s\S]*\r\n\r\n/.test(text)) return
      isPinged = true
      socket.write('ping')
    })
    const bytes = Buffer.from(exchanged.request, 'latin1')
    if (exchanged.isHalfClosed === true) socket.end(bytes)
    else socket.write(bytes)
  })
}
