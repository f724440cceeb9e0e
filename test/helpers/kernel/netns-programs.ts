/**
 * A program that tests run inside a namespace, where the test itself is not: small servers and clients, one word each.
 */
import { createSocket } from 'node:dgram'
import { createServer, request } from 'node:http'
import { ownProgram } from '../run/own-program.ts'

/**
 * `http <url> [headers as JSON] [timeout in ms]`: prints `{status, headers, body}`; without an answer, status 0 and the
 * error.
 */
function http(url = '', headers = '{}', timeoutMs = '10000'): void {
  const { hostname, port, pathname, search } = new URL(url)
  const options = {
    hostname,
    port,
    path: pathname + search,
    headers: JSON.parse(headers),
    timeout: Number(timeoutMs),
  }
  const sent = request(options, (answer) => {
    let body = ''
    answer.setEncoding('utf8')
    answer.on('data', (chunk: string) => {
      body += chunk
    })
    answer.on('end', () => print({ status: answer.statusCode, headers: answer.headers, body }))
  })
  sent.on('timeout', () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)))
  sent.on('error', (error) => print({ status: 0, error: error.message, body: '' }))
  sent.end()
}

/** `serve <port>`: answers every request with who asked, by which Host and path. */
function serve(port = '80'): void {
  const server = createServer((req, res) => {
    res.setHeader('content-type', 'application/json')
    res.end(JSON.stringify({ from: req.socket.remoteAddress, host: req.headers.host, url: req.url }))
  })
  server.listen(Number(port), '0.0.0.0', () => print('listening'))
}

/** `udp-echo <port> <word>`: answers each datagram with `<word> <sender's address>`. */
function udpEcho(port = '0', word = ''): void {
  const socket = createSocket('udp4')
  socket.on('message', (_, from) => socket.send(`${word} ${from.address}`, from.port, from.address))
  socket.bind(Number(port), '0.0.0.0', () => print('listening'))
}

/** `udp-ask <address> <port> [source port]`: prints the answer, or nothing and exits with 1 after 2 s. */
function udpAsk(address = '', port = '0', sourcePort = '0'): void {
  const socket = createSocket('udp4')
  socket.on('message', (answer) => {
    print(answer.toString())
    process.exit(0)
  })
  socket.bind(Number(sourcePort), () => socket.send('?', Number(port), address))
  setTimeout(() => process.exit(1), 2_000)
}

/** `udp-mirror <port>`: sends each datagram back as it is. */
function udpMirror(port = '0'): void {
  const socket = createSocket('udp4')
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address))
  socket.bind(Number(port), '0.0.0.0', () => print('listening'))
}

/** `udp-hold <port>`: takes the port as soon as it is free, and keeps it. */
function udpHold(port = '0'): void {
  let isWaiting = false
  const tryBind = (): void => {
    const socket = createSocket('udp6')
    socket.on('error', () => {
      socket.close()
      if (!isWaiting) print('waits')
      isWaiting = true
      setTimeout(tryBind, 2)
    })
    socket.bind(Number(port), () => print('holds'))
  }
  tryBind()
}

/** `udp-sink <port>`: prints each datagram and its sender. */
function udpSink(port = '0'): void {
  const socket = createSocket('udp4')
  socket.on('message', (bytes, from) => print(`${bytes} from ${from.address}`))
  socket.bind(Number(port), '0.0.0.0', () => print('listening'))
}

/** `udp-flow <address> <port> <for ms> <every ms> <bytes>`: prints what came back of it, and the longest pause. */
function udpFlow(address = '', port = '0', forMs = '1000', everyMs = '10', bytes = '100'): void {
  const socket = createSocket('udp4')
  const since = performance.now()
  let [sent, answered, last, longestMs] = [0, 0, since, 0]
  const heard = (): void => {
    longestMs = Math.max(longestMs, performance.now() - last)
    last = performance.now()
  }
  socket.on('message', () => {
    answered++
    heard()
  })
  socket.on('error', () => {})
  const timer = setInterval(() => {
    if (performance.now() - since < Number(forMs)) {
      sent++
      // What has no way at this moment is lost like any other.
      socket.send(Buffer.alloc(Number(bytes)), Number(port), address, () => {})
      return
    }
    clearInterval(timer)
    setTimeout(() => {
      print({ sent, answered, longestMs: Math.round(longestMs) })
      process.exit(0)
    }, 200)
  }, Number(everyMs))
}

function print(what: unknown): void {
  process.stdout.write(`${typeof what === 'string' ? what : JSON.stringify(what)}\n`)
}

type Program = 'http' | 'serve' | 'udp-echo' | 'udp-ask' | 'udp-mirror' | 'udp-hold' | 'udp-sink' | 'udp-flow'

const PROGRAMS: Readonly<Record<Program, (...args: string[]) => void>> = {
  http,
  serve,
  'udp-echo': udpEcho,
  'udp-ask': udpAsk,
  'udp-mirror': udpMirror,
  'udp-hold': udpHold,
  'udp-sink': udpSink,
  'udp-flow': udpFlow,
}

/** For `Machine.run` and `start`: the command line of one of the programs above. */
export function netnsProgram(program: Program, ...args: string[]): string[] {
  return ownProgram(import.meta.filename, program, ...args)
}

if (process.argv[1] === import.meta.filename) {
  const [, , program, ...args] = process.argv
  PROGRAMS[program as Program]?.(...args)
}
