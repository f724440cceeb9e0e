/** A container's server on port 3000: shows what reached it, holds answers back, and can be hostile itself. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

/** What a container may try to reach the others of its origin with, below `/~web-3000/`. */
const ORIGIN_WIDE: readonly (readonly [name: string, value: string])[] = [
  ['Set-Cookie', 'stolen=1; Path=/~web-3000/; Path=/'],
  ['Service-Worker-Allowed', '/'],
  ['Clear-Site-Data', '"*"'],
  ['Alt-Svc', 'h2="elsewhere.example:443"'],
  ['Strict-Transport-Security', 'max-age=31536000'],
]
const EARLY = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'

/** Answered when `/release` is asked for. */
const held: ServerResponse[] = []

type Answer = (req: IncomingMessage, res: ServerResponse, path: string) => void

const early: Answer = (_req, res, path) => {
  const hints = EARLY.repeat(Number(path.slice('/early/'.length)))
  res.socket?.write(`${hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`)
}

const ANSWERS: Readonly<Record<string, Answer>> = {
  '/held': (_req, res) => void held.push(res),
  '/holding': (_req, res) => void res.end(String(held.length)),
  '/release': (_req, res) => {
    res.end(String(held.length))
    for (const one of held.splice(0)) one.end('held')
  },
  '/body': (req, res) => void req.resume().on('end', () => res.end('whole')),
  '/origin-wide': (_req, res) => void res.writeHead(200, ORIGIN_WIDE.flat()).end('sent'),
  '/early/32': early,
  '/early/200000': early,
}

const server = createServer((req, res) => {
  const [path = ''] = (req.url ?? '').split('?')
  const answer = ANSWERS[path]
  if (answer === undefined) res.end(JSON.stringify(req.headers))
  else answer(req, res, path)
})
server.on('upgrade', (_req, socket) => {
  socket.on('error', () => socket.destroy())
  socket.resume().on('end', () => socket.end())
  const fields = ORIGIN_WIDE.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${fields}\r\n`,
  )
})
server.listen(3_000)
