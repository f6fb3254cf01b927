/**
 * One question to one server: does it take a connection, and does it answer as it should? On a connection of its own, with our parser. However the
 * server behaves, it ends in time and has kept at most `bodyBytesMax` of what was said. It owns its socket, its parser and its deadline.
 */
import { MessageParser, ParseError, type MessageHandler, type ResponseContext, type ResponseHead } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'
import type { Address } from '../core/options.ts'
import type { HealthOptions } from '../core/service-options.ts'
import { Deadline, type DeadlineOwner } from '../core/timers.ts'
import type { ByteSocket, SocketHandler } from '../net/byte-socket.ts'
import type { UpstreamEnvironment } from './environment.ts'

export interface CheckResult {
  readonly isGood: boolean
  /** What was wrong, or what was right. */
  readonly reason: string
  /** Status of the answer, 0 without one. */
  readonly status: number
  readonly ms: number
}

/**
 * A check that only connects looks on for so long: what stands in front of a server that is gone, such as a port that a container runtime
 * forwards, takes a connection and closes it at once.
 */
const settleMs = 50
/** Of an answer so many bytes are searched for the text that has to be in it. */
const bodyBytesMax = 65_536
const connectable = 'it takes connections'
const answerToGet: ResponseContext = Object.freeze({ toHead: false, offered: Object.freeze([]) })

/** The request of a check. `host`: for when the options name none. Throws ProxyError ERR_EPROXY_OPTION for what cannot stand in a request. */
export function formatCheckRequest({ path, host: givenHost }: HealthOptions, host: string): string {
  const named = givenHost === '' ? host : givenHost
  if (!/^\/[\x21-\x7e]*$/.test(path)) throw new ProxyError('ERR_EPROXY_OPTION', `health.path must be a path, not ${JSON.stringify(path)}`)
  if (!/^[\x21-\x7e]+$/.test(named)) throw new ProxyError('ERR_EPROXY_OPTION', `health.host must be a host, not ${JSON.stringify(named)}`)
  return `GET ${path} HTTP/1.1\r\nHost: ${named}\r\nUser-Agent: eproxy-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n`
}

export class HealthCheck implements SocketHandler, DeadlineOwner, MessageHandler<ResponseHead> {
  readonly #options: HealthOptions
  readonly #request: string
  readonly #environment: UpstreamEnvironment
  readonly #onResult: (result: CheckResult) => void
  readonly #deadline: Deadline = new Deadline(this)
  readonly #startedAt: number
  /** The text to be found, one character for each of its octets. */
  readonly #wanted: string
  #socket: ByteSocket | undefined
  #parser: MessageParser<'response'> | undefined
  #status = 0
  /** How long connecting took, when that was all: -1 before. */
  #connectMs = -1
  /** What came of the body since the last search, behind the end of what was searched. */
  #body = ''
  #bodyBytes = 0
  #isOver = false

  /** Begins at once. `onResult` is called once, later, unless the check is cancelled. `request`: of `formatCheckRequest`. */
  constructor(
    address: Address,
    options: HealthOptions,
    request: string,
    environment: UpstreamEnvironment,
    onResult: (result: CheckResult) => void,
  ) {
    this.#options = options
    this.#request = request
    this.#environment = environment
    this.#onResult = onResult
    this.#startedAt = environment.wheel.clock.now()
    this.#wanted = Buffer.from(options.body).toString('latin1')
    environment.wheel.arm(this.#deadline, 'healthCheck', options.timeoutMs)
    this.#connect(address)
  }

  cancel(): void {
    this.#release()
  }

  // SocketHandler

  onConnect(): void {
    if (this.#isOver) return
    if (this.#options.kind === 'tcp') {
      const { wheel } = this.#environment
      this.#connectMs = wheel.clock.now() - this.#startedAt
      wheel.arm(this.#deadline, 'healthCheck', settleMs)
      return
    }
    this.#parser = new MessageParser('response', this.#environment.parserEngine, this, this.#environment.responseLimits)
    this.#parser.expectResponse(answerToGet)
    this.#socket!.write(this.#request)
  }

  onData(bytes: Buffer, start: number, end: number): void {
    // A server that speaks first is no fault of a check that only connects; one that speaks HTTP waits for its request.
    if (this.#options.kind === 'tcp') return this.#finish(true, connectable)
    this.#read((parser) => parser.execute(bytes, start, end))
    // Once for all chunks of a read: a body in chunks of one octet would be searched 65,536 times.
    if (!this.#isOver && this.#body !== '' && this.#body.length >= this.#wanted.length) this.#search()
  }

  onEnd(): void {
    this.#read((parser) => parser.finish())
    this.#finish(false, this.#closedEarly)
  }

  onDrain(): void {}

  onClose(error: Error | undefined): void {
    this.#finish(false, error?.message ?? this.#closedEarly)
  }

  onFault(): void {
    this.#finish(false, 'a fault of the proxy itself')
  }

  // DeadlineOwner

  onDeadline(): void {
    if (this.#connectMs >= 0) this.#finish(true, connectable)
    else this.#finish(false, `no complete answer within ${this.#options.timeoutMs} ms`)
  }

  // MessageHandler

  onHead(head: ResponseHead): void {
    if (head.isInterim) return
    const { status } = head
    this.#status = status
    if (!this.#options.statuses.some(([from, to]) => status >= from && status <= to)) return this.#finish(false, `status ${status}`)
    if (this.#wanted === '') this.#finish(true, `status ${status}`)
  }

  onBody(bytes: Uint8Array, start: number, end: number): void {
    const count = Math.min(end - start, bodyBytesMax - this.#bodyBytes)
    this.#body += Buffer.from(bytes.buffer, bytes.byteOffset + start, count).toString('latin1')
    this.#bodyBytes += count
    if (this.#bodyBytes < bodyBytesMax) return
    this.#search()
    this.#finish(false, `the expected text is not in the first ${bodyBytesMax} bytes of the body`)
  }

  onTrailers(): void {}

  onMessageComplete(): void {
    this.#search()
    this.#finish(false, 'the expected text is not in the body')
  }

  #search(): void {
    if (this.#body.includes(this.#wanted)) return this.#finish(true, `status ${this.#status}, and the body is as expected`)
    // The text may begin in what is here and end in what comes.
    this.#body = this.#body.slice(Math.max(0, this.#body.length - this.#wanted.length + 1))
  }

  #connect(address: Address): void {
    if (address.kind === 'unix') return this.#open(address)
    const { resolver } = this.#environment
    const { port } = address
    const known = resolver.lookupCached(address.host)
    if (known !== undefined) return this.#open({ kind: 'tcp', host: known[0]!.address, port })
    resolver
      .resolve(address.host)
      .then(
        (found) => this.#open({ kind: 'tcp', host: found[0]!.address, port }),
        (error: unknown) => this.#finish(false, error instanceof Error ? error.message : String(error)),
      )
      .catch((error: unknown) => this.#environment.onFault(error))
  }

  #open(address: Address): void {
    if (!this.#isOver) this.#socket = this.#environment.connect(address, this)
  }

  #read(step: (parser: MessageParser<'response'>) => void): void {
    if (this.#isOver || this.#parser === undefined) return
    try {
      step(this.#parser)
    } catch (error) {
      if (!(error instanceof ParseError)) throw error
      this.#finish(false, `its answer broke a rule: ${error.message}`)
    }
  }

  get #closedEarly(): string {
    return this.#connectMs >= 0 ? 'it took the connection and closed it at once' : 'it closed the connection before its answer was complete'
  }

  #finish(isGood: boolean, reason: string): void {
    if (this.#isOver) return
    this.#release()
    const ms = this.#connectMs >= 0 ? this.#connectMs : this.#environment.wheel.clock.now() - this.#startedAt
    this.#onResult({ isGood, reason, status: this.#status, ms })
  }

  #release(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#body = ''
    this.#environment.wheel.remove(this.#deadline)
    this.#parser?.dispose()
    this.#socket?.destroy()
  }
}
