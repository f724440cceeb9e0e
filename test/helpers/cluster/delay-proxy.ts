/**
 * Passes datagrams, TCP or both on after a while, both ways:
 * `delay-proxy.ts '{"ways":[{"listen":20001,"to":"192.0.2.2"}],"port":7443,"ms":80,"protocols":"tcp, udp"}'`. A line on
 * stdin is another number of ms, never a smaller one for TCP: timers of one length end in order.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { connect, createServer, type Socket as TcpSocket } from 'node:net'
import { setPriority } from 'node:os'
import { createInterface } from 'node:readline'

interface Way {
  readonly listen: number
  readonly to: string
}

interface Conf {
  readonly ways: readonly Way[]
  readonly port: number
  ms: number
  readonly protocols: 'udp' | 'tcp' | 'tcp, udp'
}

/** A full queue of a slow link: what comes beyond it is lost. */
const MAX_WAITING = 10_000

function pass({ listen, to }: Way, conf: Conf): void {
  let waiting = 0
  const later = (send: () => void): void => {
    if (waiting >= MAX_WAITING) return
    waiting++
    setTimeout(() => {
      waiting--
      send()
    }, conf.ms)
  }
  const front = createSocket('udp4')
  /** One towards `to` for each client, so that answers find their way back. */
  const backs = new Map<string, Socket>()
  const backOf = (client: RemoteInfo): Socket => {
    const key = `${client.address}:${client.port}`
    const known = backs.get(key)
    if (known !== undefined) return known
    const back = createSocket('udp4')
    back.on('message', (text) => later(() => front.send(text, client.port, client.address)))
    backs.set(key, back)
    return back
  }
  front.on('message', (text, client) => {
    const back = backOf(client)
    later(() => back.send(text, conf.port, to))
  })
  front.bind(listen)
}

function passTcp({ listen, to }: Way, conf: Conf): void {
  const later = (from: TcpSocket, into: TcpSocket): void => {
    from.on('data', (chunk) => setTimeout(() => into.write(chunk), conf.ms))
    from.on('end', () => setTimeout(() => into.end(), conf.ms))
    from.on('error', () => into.destroy()).on('close', () => setTimeout(() => into.destroy(), conf.ms))
  }
  createServer({ allowHalfOpen: true }, (front) => {
    const back = connect({ host: to, port: conf.port, allowHalfOpen: true })
    later(front, back)
    later(back, front)
  }).listen(listen)
}

// A machine of its own would not wait for what else runs on this one.
setPriority(-20)
const conf: Conf = JSON.parse(process.argv[2] ?? '{}')
for (const way of conf.ways) {
  if (conf.protocols.includes('udp')) pass(way, conf)
  if (conf.protocols.includes('tcp')) passTcp(way, conf)
}
createInterface({ input: process.stdin }).on('line', (line) => {
  conf.ms = Number(line)
})
