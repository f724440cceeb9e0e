/** Serves the gateway's connection to this process: lines in and out, bounded, without ever waiting. */
import type { UnixConnection, UnixListener } from '../../../../kernel/unix-listener.ts'
import {
  type FromProcess,
  LineSplitter,
  lineOf,
  ProtocolError,
  parseToProcess,
  type ToProcess,
} from '../protocol.ts'

/** A gateway that leaves this much unread is stuck. The next one gets everything again in `hello`. */
const MAX_OUT_BYTES = 1 << 20
/** Above it `state` lines are left out: the next ones say more. */
const LAZY_BYTES = 65_536
/** Reads in one turn of the loop, so that packets do not wait for a talkative gateway. */
const READS_PER_TURN = 4

export interface ControlServerDeps {
  /** Called for each line of a client; `hello` answers its first one. */
  handle(message: ToProcess): void
  /** A client connected, or the last one left. */
  changed(isConnected: boolean): void
}

interface Client {
  readonly connection: UnixConnection
  readonly splitter: LineSplitter
  /** Lines that the socket has not taken yet. */
  readonly out: Buffer[]
  outBytes: number
}

export class ControlServer {
  readonly #listener: UnixListener
  readonly #deps: ControlServerDeps
  readonly #buffer = Buffer.allocUnsafe(65_536)
  #client: Client | undefined

  constructor(listener: UnixListener, deps: ControlServerDeps) {
    this.#listener = listener
    this.#deps = deps
  }

  get isConnected(): boolean {
    return this.#client !== undefined
  }

  /** To poll for reading: gateways that come, and the one that is connected. */
  get listenerFd(): number {
    return this.#listener.fd
  }

  get clientFd(): number | undefined {
    return this.#client?.connection.fd
  }

  /** To poll for writing; undefined: nothing waits to be written. */
  get writing(): number | undefined {
    return this.#client !== undefined && this.#client.outBytes > 0 ? this.#client.connection.fd : undefined
  }

  /** Accepts, reads and writes what is possible now. */
  step(): void {
    // A second connection comes from a new gateway that adopts this process: the old one has ended or is about to.
    for (let next = this.#listener.accept(); next !== undefined; next = this.#listener.accept()) {
      this.#drop()
      this.#client = { connection: next, splitter: new LineSplitter(), out: [], outBytes: 0 }
      this.#deps.changed(true)
    }
    this.#read()
    this.flush()
  }

  /** `flush` sends the lines of one turn of the loop together: 253 sessions report in one second. */
  send(message: FromProcess): void {
    const client = this.#client
    if (client === undefined || (message.type === 'state' && client.outBytes > LAZY_BYTES)) return
    const line = Buffer.from(lineOf(message))
    client.out.push(line)
    client.outBytes += line.byteLength
    if (client.outBytes > MAX_OUT_BYTES) this.#drop()
  }

  close(): void {
    this.flush()
    this.#drop()
    this.#listener.close()
  }

  #read(): void {
    for (let i = 0; i < READS_PER_TURN; i++) {
      const client = this.#client
      const n = client?.connection.read(this.#buffer)
      if (client === undefined || n === undefined) return
      if (n === 0) {
        this.#drop()
        return
      }
      const messages = this.#messages(client, n)
      for (const message of messages ?? []) {
        // An order may have ended this connection.
        if (this.#client === client) this.#deps.handle(message)
      }
      if (messages === undefined) return
    }
  }

  /** @returns undefined: a line was malformed, and the connection is closed */
  #messages({ splitter }: Client, n: number): ToProcess[] | undefined {
    try {
      return splitter.push(this.#buffer.subarray(0, n)).map(parseToProcess)
    } catch (err) {
      if (!(err instanceof ProtocolError)) throw err
      this.#refuse(err)
      return undefined
    }
  }

  /** Closes the connection: after a malformed line the next ones may mean something else. */
  #refuse({ message }: ProtocolError): void {
    this.send({ type: 'refused', problem: message.slice(0, 500) })
    this.flush()
    this.#drop()
  }

  /** Writes what the socket takes now. */
  flush(): void {
    const client = this.#client
    if (client === undefined || client.outBytes === 0) return
    const all = client.out.length === 1 ? client.out[0] : Buffer.concat(client.out)
    const taken = all && client.connection.write(all)
    if (all === undefined || taken === undefined) {
      this.#drop()
      return
    }
    client.outBytes = all.byteLength - taken
    client.out.length = 0
    if (client.outBytes > 0) client.out.push(all.subarray(taken))
  }

  #drop(): void {
    const client = this.#client
    if (client === undefined) return
    this.#client = undefined
    client.connection.close()
    this.#deps.changed(false)
  }
}
