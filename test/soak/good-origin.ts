/**
 * The origin behind the proxy that good clients use. It answers what a request asks for in `X-Want: bytes framing delayMs`, under the
 * request's own tag, and checks every complete request that says in `X-Bytes` what its body should be. Broken and malicious clients reach it
 * too, through the same pool; what they are owed is an answer, and what they smuggle is a fault. It owns its listener and its connections.
 */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { SeededRandom } from '../support/seeded-random.ts'
import type { FaultList } from './fault-list.ts'
import { MessageReader, type MessageHead } from './message-reader.ts'
import { BodyIntake, checksumOf, frameBody, framingFields, pour, type BodyFraming } from './tagged-body.ts'

/** No request for it ever goes through the front door: who sees it has been smuggled to. */
export const smuggledTarget = '/smuggled'

/** A listener accepts one connection in each turn of the event loop: with one alone the origin would be the slowest of all. */
const listeners = 16

export class GoodOrigin implements AsyncDisposable {
  readonly faults: FaultList
  /** Complete requests. */
  requests = 0
  readonly #servers: readonly Server[]
  readonly #sockets = new Set<Socket>()

  static async listen(faults: FaultList): Promise<GoodOrigin> {
    const origin = new GoodOrigin(faults)
    for (const server of origin.#servers) {
      server.listen(0, '127.0.0.1', 4_096)
      await once(server, 'listening')
    }
    return origin
  }

  private constructor(faults: FaultList) {
    this.faults = faults
    const serve = (socket: Socket): void => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      Visit.begin(socket, this)
    }
    this.#servers = Array.from({ length: listeners }, () => createServer({ allowHalfOpen: true, noDelay: true }, serve))
  }

  get ports(): readonly number[] {
    return this.#servers.map((server) => (server.address() as AddressInfo).port)
  }

  /** As upstreams of the proxy are given. */
  get addresses(): readonly string[] {
    return this.ports.map((port) => `127.0.0.1:${port}`)
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#sockets.size
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#servers.map((server) => once(server, 'close'))
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
    await Promise.all(closed)
  }
}

interface Request {
  readonly head: MessageHead
  readonly method: string
  readonly tag: string
  readonly intake: BodyIntake
}

/** One connection. */
class Visit {
  readonly #socket: Socket
  readonly #origin: GoodOrigin
  readonly #reader: MessageReader
  readonly #random: SeededRandom
  #request: Request | undefined
  #answers: Promise<void> = Promise.resolve()

  /** Lasts as long as its socket. */
  static begin(socket: Socket, origin: GoodOrigin): Visit {
    return new Visit(socket, origin)
  }

  private constructor(socket: Socket, origin: GoodOrigin) {
    this.#socket = socket
    this.#origin = origin
    this.#random = new SeededRandom(origin.requests)
    this.#reader = new MessageReader('request', {
      onHead: (head) => this.#onHead(head),
      onBody: (bytes) => {
        // Behind a switch of protocols: what comes is sent back.
        if (this.#reader.isTunnel) this.#echo(bytes)
        else this.#request!.intake.take(bytes)
      },
      onComplete: (trailers) => this.#onComplete(trailers),
    })
    socket.on('error', () => socket.destroy())
    socket.on('end', () => socket.end())
    socket.on('drain', () => socket.resume())
    socket.on('data', (piece: Buffer) => {
      try {
        this.#reader.push(piece)
      } catch (error) {
        origin.faults.add(`the good origin got what is no request: ${String(error)}`)
        socket.destroy()
      }
    })
  }

  #onHead(head: MessageHead): 'framed' | 'tunnel' {
    const [method = '', target = ''] = head.startLine.split(' ')
    if (target.includes(smuggledTarget)) this.#origin.faults.add(`a smuggled request reached the good origin: ${head.startLine}`)
    this.#request = { head, method, tag: head.field('X-Tag'), intake: new BodyIntake() }
    if (head.field('Expect') !== '') this.#socket.write('HTTP/1.1 100 Continue\r\n\r\n')
    if (head.field('Upgrade') !== 'echo') return 'framed'
    this.#origin.requests++
    this.#socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Tag: ${this.#request.tag}\r\n\r\n`)
    return 'tunnel'
  }

  #echo(bytes: Buffer): void {
    if (!this.#socket.write(bytes)) this.#socket.pause()
  }

  #onComplete(trailers: string): void {
    const request = this.#request!
    const { head, tag, intake } = request
    const received = `${intake.bytes} ${intake.checksum()}`
    this.#origin.requests++
    const announced = head.field('X-Bytes')
    if (announced !== '') {
      const wanted = `${announced} ${checksumOf(tag, Number(announced))}`
      if (received !== wanted) this.#origin.faults.add(`the body of ${tag} came as ${received} instead of ${wanted}`)
      if (head.field('Transfer-Encoding') !== '' && trailers !== `X-End: ${tag}\r\n`)
        this.#origin.faults.add(`the trailers of ${tag} came as ${JSON.stringify(trailers)}`)
    }
    this.#answers = this.#answers.then(() => this.#answer(request, received))
  }

  async #answer({ head, method, tag }: Request, received: string): Promise<void> {
    const socket = this.#socket
    const [bytes = '2', framing = 'length', delayMs = '0'] = head.field('X-Want').split(' ').filter(Boolean)
    if (delayMs !== '0') await delay(Number(delayMs))
    if (!socket.writable) return
    const fields = `X-Tag: ${tag}\r\nX-Received: ${received}\r\n${framingFields(framing as BodyFraming, Number(bytes))}`
    socket.write(`HTTP/1.1 200 OK\r\n${fields}\r\n`, 'latin1')
    if (method !== 'HEAD') await pour(socket, frameBody(`${tag}/answer`, Number(bytes), framing as BodyFraming, this.#random))
    if (framing === 'close') socket.end()
  }
}
