/** A program that tests run inside a namespace, where the test itself is not: small servers and clients, one word each. */
import { createSocket } from 'node:dgram'
import { createServer, request } from 'node:http'

/** `http <url> [headers as JSON] [timeout in ms]`: prints `{status, headers, body}`; an error in the place of status when nobody answers. */
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

function print(what: unknown): void {
  process.stdout.write(`${typeof what === 'string' ? what : JSON.stringify(what)}\n`)
}

const PROGRAMS: Readonly<Record<string, (...args: string[]) => void>> = {
  http,
  serve,
  'udp-echo': udpEcho,
  'udp-ask': udpAsk,
}

/** For `Machine.run` and `start`: the command line of one of the programs above. */
export function netnsProgram(
  program: 'http' | 'serve' | 'udp-echo' | 'udp-ask',
  ...args: string[]
): string[] {
  return [process.execPath, import.meta.filename, program, ...args]
}

if (process.argv[1] === import.meta.filename) {
  const [, , program = '', ...args] = process.argv
  PROGRAMS[program]?.(...args)
}
