/**
 * One connection of a client that does everything right, and expects to be served right: it sends requests, one after the other or many at
 * once, and checks that each answer is the one to its request, complete, and the same byte for byte. It owns its socket.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { SeededRandom } from '../support/seeded-random.ts'
import { MessageReader, type MessageHead } from './message-reader.ts'
import { BodyIntake, checksumOf, frameBody, framingFields, pour } from './tagged-body.ts'

export interface Plan {
  readonly tag: string
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT'
  readonly bodyBytes: number
  readonly bodyFraming: 'none' | 'length' | 'chunked'
  readonly wantedBytes: number
  readonly wantedFraming: 'length' | 'chunked' | 'close'
  /** The origin takes so long to answer. */
  readonly delayMs: number
  readonly expectsContinue: boolean
  readonly minorVersion: 0 | 1
  /** `Connection: close`. */
  readonly isLast: boolean
}

export interface Answered {
  /** From the first byte of the request handed to the socket to the last byte of its answer. */
  readonly milliseconds: number
  readonly bytes: number
}

interface Awaited {
  readonly plan: Plan
  readonly sentAt: number
  readonly intake: BodyIntake
  head: MessageHead | undefined
  onContinue: () => void
  resolve(answered: Answered): void
  reject(error: Error): void
}

export interface GoodConnectionOptions {
  readonly port: number
  readonly random: SeededRandom
  /** Stops reading for `ms` after so many bytes, again and again. */
  readonly rests?: { readonly everyBytes: number; readonly ms: number }
}

export class GoodConnection {
  readonly #socket: Socket
  readonly #random: SeededRandom
  readonly #reader: MessageReader
  readonly #awaited: Awaited[] = []
  readonly #rests: GoodConnectionOptions['rests']
  #bytesUntilRest: number
  #isInterim = false
  #error: Error | undefined
  #onTunnel: ((bytes: Buffer) => void) | undefined
  #hasEnded = false

  static async open(options: GoodConnectionOptions): Promise<GoodConnection> {
    const socket = connect({ host: '127.0.0.1', port: options.port, allowHalfOpen: true, noDelay: true })
    await once(socket, 'connect')
    return new GoodConnection(socket, options)
  }

  private constructor(socket: Socket, { random, rests }: GoodConnectionOptions) {
    this.#socket = socket
    this.#random = random
    this.#rests = rests
    this.#bytesUntilRest = rests?.everyBytes ?? Number.POSITIVE_INFINITY
    this.#reader = new MessageReader('response', {
      onHead: (head) => this.#onHead(head),
      onBody: (bytes) => {
        if (this.#reader.isTunnel) this.#onTunnel?.(bytes)
        else this.#awaited[0]!.intake.take(bytes)
      },
      onComplete: (trailers) => this.#onComplete(trailers),
    })
    socket.on('data', (piece: Buffer) => this.#onData(piece))
    socket.on('end', () => this.#onEnd())
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('the connection was closed')))
  }

  /** Sends one request and resolves with its answer. Rejects when anything about it is wrong. */
  async exchange(plan: Plan): Promise<Answered> {
    const answer = this.#await(plan)
    this.#socket.write(encodeHead(plan), 'latin1')
    if (plan.expectsContinue) await new Promise<void>((resolve) => this.#whenGoingOn(plan, resolve))
    const pieces = frameBody(plan.tag, plan.bodyBytes, plan.bodyFraming, this.#random)
    // An answer that comes early, or an end, is told by the answer itself.
    void pour(this.#socket, pieces)
    return await answer
  }

  /** Sends all requests at once, in one piece, and resolves when all answers have come, in order. */
  async pipeline(plans: readonly Plan[]): Promise<readonly Answered[]> {
    const answers = plans.map((plan) => this.#await(plan))
    const pieces = plans.flatMap((plan) => [
      Buffer.from(encodeHead(plan), 'latin1'),
      ...frameBody(plan.tag, plan.bodyBytes, plan.bodyFraming, this.#random),
    ])
    this.#socket.write(Buffer.concat(pieces))
    return await Promise.all(answers)
  }

  /** Switches to the echo protocol, has `bytes` bytes sent back, and ends both ways. */
  async tunnel(tag: string, bytes: number): Promise<void> {
    const intake = new BodyIntake()
    this.#onTunnel = (piece) => {
      intake.take(piece)
      if (intake.bytes === bytes) this.#socket.end()
    }
    this.#socket.write(`GET /${tag} HTTP/1.1\r\nHost: good\r\nX-Tag: ${tag}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`, 'latin1')
    await pour(this.#socket, frameBody(tag, bytes, 'length', this.#random))
    await this.#ended()
    if (intake.bytes !== bytes || intake.checksum() !== checksumOf(tag, bytes))
      throw new Error(`the tunnel ${tag} carried back ${intake.bytes} of ${bytes} bytes, or others`)
  }

  /** Sends FIN and waits for that of the proxy. */
  async end(): Promise<void> {
    if (!this.#socket.writableEnded) this.#socket.end()
    await this.#ended()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #await(plan: Plan): Promise<Answered> {
    return new Promise((resolve, reject) => {
      const awaited: Awaited = {
        plan,
        sentAt: performance.now(),
        intake: new BodyIntake(),
        head: undefined,
        onContinue: () => {},
        resolve,
        reject,
      }
      if (this.#error === undefined) this.#awaited.push(awaited)
      else reject(this.#describe(awaited, this.#error))
    })
  }

  /** A 100 has come, or the exchange has ended one way or the other. */
  #whenGoingOn(plan: Plan, goOn: () => void): void {
    const awaited = this.#awaited.find((one) => one.plan === plan)
    if (awaited === undefined) goOn()
    else awaited.onContinue = goOn
  }

  #onData(piece: Buffer): void {
    try {
      this.#reader.push(piece)
    } catch (error) {
      this.#fail(error as Error)
      this.#socket.destroy()
      return
    }
    this.#bytesUntilRest -= piece.length
    if (this.#rests === undefined || this.#bytesUntilRest > 0) return
    this.#bytesUntilRest = this.#rests.everyBytes
    this.#socket.pause()
    setTimeout(() => this.#socket.resume(), this.#rests.ms)
  }

  #onHead(head: MessageHead): 'framed' | 'bodyless' | 'tunnel' {
    if (head.status === 101 && this.#onTunnel !== undefined) return 'tunnel'
    const awaited = this.#awaited[0]
    if (awaited === undefined) throw new Error(`an answer to nothing: ${head.startLine}`)
    this.#isInterim = head.status < 200
    if (this.#isInterim) return 'bodyless'
    awaited.head = head
    return awaited.plan.method === 'HEAD' ? 'bodyless' : 'framed'
  }

  #onComplete(trailers: string): void {
    const awaited = this.#awaited[0]!
    if (this.#isInterim) {
      this.#isInterim = false
      return awaited.onContinue()
    }
    this.#awaited.shift()
    awaited.onContinue()
    const problem = judge(awaited, trailers)
    if (problem === undefined) awaited.resolve({ milliseconds: performance.now() - awaited.sentAt, bytes: awaited.intake.bytes })
    else awaited.reject(new Error(problem))
  }

  #onEnd(): void {
    this.#hasEnded = true
    try {
      this.#reader.end()
    } catch (error) {
      return this.#fail(error as Error)
    }
    this.#fail(new Error('the proxy ended the connection'))
    this.#socket.end()
  }

  /** Nothing more is awaited from here on. */
  #fail(error: Error): void {
    this.#error ??= error
    for (const awaited of this.#awaited.splice(0)) {
      awaited.onContinue()
      awaited.reject(this.#describe(awaited, error))
    }
  }

  #describe({ plan, intake, head }: Awaited, error: Error): Error {
    const seen = head === undefined ? 'nothing' : `${head.startLine} and ${intake.bytes} bytes`
    return new Error(`${plan.method} ${plan.tag}: ${error.message}; of its answer came ${seen}`, { cause: error })
  }

  /** FIN has come from the other side; a reset instead is an error. */
  async #ended(): Promise<void> {
    if (!this.#socket.destroyed) await new Promise<void>((resolve) => this.#socket.once('close', () => resolve()))
    if (!this.#hasEnded) throw this.#error ?? new Error('the connection was closed without an end')
  }
}

export function encodeHead(plan: Plan): string {
  const { tag, method, bodyBytes, bodyFraming, wantedBytes, wantedFraming, delayMs } = plan
  // RFC 9112 section 9.3: a 1.1 connection persists unless told otherwise, a 1.0 one does not.
  const connection = plan.isLast === (plan.minorVersion === 0) ? '' : plan.isLast ? 'Connection: close\r\n' : 'Connection: keep-alive\r\n'
  return (
    `${method} /${tag} HTTP/1.${plan.minorVersion}\r\nHost: good\r\nX-Tag: ${tag}\r\n` +
    `X-Want: ${wantedBytes} ${wantedFraming} ${delayMs}\r\n` +
    (bodyFraming === 'none' ? '' : `X-Bytes: ${bodyBytes}\r\n`) +
    (plan.expectsContinue ? 'Expect: 100-continue\r\n' : '') +
    framingFields(bodyFraming, bodyBytes) +
    `${connection}\r\n`
  )
}

/** What is wrong with a complete answer. */
function judge({ plan, head, intake }: Awaited, trailers: string): string | undefined {
  const { tag } = plan
  const about = `${plan.method} ${tag}: ${head!.startLine}`
  if (head!.status !== 200) return `${about}; Proxy-Status: ${head!.field('Proxy-Status')}`
  if (head!.field('X-Tag') !== tag) return `${about} is the answer to ${head!.field('X-Tag')}`
  const sent = `${plan.bodyBytes} ${checksumOf(tag, plan.bodyBytes)}`
  if (head!.field('X-Received') !== sent) return `${about}: sent was ${sent}, received ${head!.field('X-Received')}`
  const wanted = plan.method === 'HEAD' ? { bytes: 0, tag: '' } : { bytes: plan.wantedBytes, tag: `${tag}/answer` }
  const checksum = intake.checksum()
  if (intake.bytes !== wanted.bytes || checksum !== checksumOf(wanted.tag, wanted.bytes))
    return `${about}: ${intake.bytes} bytes with SHA-256 ${checksum} instead of ${wanted.bytes} with ${checksumOf(wanted.tag, wanted.bytes)}`
  // An answer that ends with its connection has no trailers of its own, and neither has one to a 1.0 client.
  const isChunkedAllAlong = plan.method !== 'HEAD' && plan.wantedFraming === 'chunked' && plan.minorVersion === 1
  const expected = isChunkedAllAlong ? `X-End: ${tag}/answer\r\n` : ''
  return trailers === expected ? undefined : `${about}: trailers ${JSON.stringify(trailers)} instead of ${JSON.stringify(expected)}`
}
