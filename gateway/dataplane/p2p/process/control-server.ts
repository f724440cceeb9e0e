/** The gateway's connection to this process: lines in and out, bounded both ways, and never waited for. */
import type { UnixConnection, UnixListener } from '../../../../kernel/unix-listener.ts'
import {
  type FromProcess,
  LineSplitter,
  lineOf,
  ProtocolError,
  parseToProcess,
  type ToProcess,
} from '../protocol.ts'

/** A gateway that reads this little is stuck; the next one gets everything anew by `hello`. */
const MAX_OUT_BYTES = 1 << 20
/** `state` lines are left out above it: the next ones say the same and more. */
const LAZY_BYTES = 65_536
/** Orders taken in one turn of the loop, so that packets do not wait for a talkative gateway. */
const READS_PER_TURN = 4

export interface ControlServerDeps {
  /** The first line of a client, answered by `hello`; and each one after it. */
  handle(message: ToProcess): void
  /** A client came, or the last one is gone. */
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

  /** To poll for reading. */
  get descriptors(): readonly number[] {
    return this.#client === undefined ? [this.#listener.fd] : [this.#listener.fd, this.#client.connection.fd]
  }

  /** To poll for writing; undefined: nothing waits to be written. */
  get writing(): number | undefined {
    return this.#client !== undefined && this.#client.outBytes > 0 ? this.#client.connection.fd : undefined
  }

  /** Accepts, reads and writes what is possible now. */
  step(): void {
    // A second connection is a new gateway that adopts this process: the old one is gone or will be.
    for (let next = this.#listener.accept(); next !== undefined; next = this.#listener.accept()) {
      this.#drop()
      this.#client = { connection: next, splitter: new LineSplitter(), out: [], outBytes: 0 }
      this.#deps.changed(true)
    }
    this.#read()
    this.flush()
  }

  /** The lines of one turn of the loop go together, by `flush`: 253 sessions report in one second. */
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

  /** @returns undefined: there was a line that is none, and the connection is closed */
  #messages({ splitter }: Client, n: number): ToProcess[] | undefined {
    try {
      return splitter.push(this.#buffer.subarray(0, n)).map(parseToProcess)
    } catch (err) {
      if (!(err instanceof ProtocolError)) throw err
      this.#refuse(err)
      return undefined
    }
  }

  /** What follows a line that was not understood cannot be trusted to mean what it says. */
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
