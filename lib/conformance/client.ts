/**
 * The client of the suite: opens one connection to the proxy under test, sends the steps of a case at their pace and collects
 * what comes back until the exchange has settled. "Settled" is a question of patience: a proxy that answered and then sends a
 * second response, or closes, must get the time to do so, or the evidence is lost. It judges nothing.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expandSegments, type Segment } from './case-format.ts'
import { readResponses, valuesOf } from './strict-parser.ts'

export interface Endpoint {
  readonly host: string
  readonly port: number
}

/** As it is typed. */
export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

export interface ExchangePlan {
  send: string | readonly Segment[]
  fragmentBytes?: number | undefined
  answersToHead: readonly number[]
  /** Final responses after which nothing more is due. */
  responsesDue: number
  /** The connection is to be closed by the proxy: wait for that even after the last response. */
  awaitsClose: boolean
  timeoutMs: number
  /** Quiet time after the last response that is due. */
  settleMs: number
  /** Quiet time after a refusal, an announced close or bytes that are no response. */
  refusalSettleMs: number
}

export type SettleReason = 'closed' | 'idle' | 'timeout'

const awaitPollMs = 5

export class ClientExchange {
  readonly #plan: ExchangePlan
  readonly #socket: Socket
  readonly #settled: Promise<SettleReason>
  readonly #timeout: NodeJS.Timeout
  #quiet: NodeJS.Timeout | undefined
  #resolve: (reason: SettleReason) => void = () => {}
  #isSettled = false
  #isSending = true
  received = ''
  isEnded = false
  errorCode: string | null = null

  constructor(endpoint: Endpoint, plan: ExchangePlan) {
    this.#plan = plan
    this.#settled = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#timeout = setTimeout(() => this.#settle('timeout'), plan.timeoutMs)
    const socket = connect({ ...endpoint, noDelay: true, allowHalfOpen: true })
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1')
      this.#consider()
    })
    socket.on('end', () => {
      this.#onEnd()
      socket.end()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.errorCode = error.code ?? error.message
      this.#onEnd()
    })
    socket.on('close', () => this.#onEnd())
    socket.on('connect', () => void this.#send())
    this.#socket = socket
  }

  settled(): Promise<SettleReason> {
    return this.#settled
  }

  /** One more write on the same connection, after the exchange has settled. */
  write(bytes: string): void {
    if (this.#socket.writable) this.#socket.write(bytes, 'latin1')
  }

  destroy(): void {
    this.#settle('closed')
    this.#socket.destroy()
  }

  async #send(): Promise<void> {
    for (const step of expandSegments(this.#plan.send)) {
      if (this.isEnded || this.#isSettled) break
      if ('pauseMs' in step) await delay(step.pauseMs)
      else if ('halfClose' in step) this.#socket.end()
      else if ('awaitText' in step) await this.#awaitText(step.awaitText, step.maxMs)
      else if ('bytes' in step) await this.#sendBytes(step.bytes)
    }
    this.#isSending = false
    this.#consider()
  }

  async #sendBytes(bytes: string): Promise<void> {
    const { fragmentBytes } = this.#plan
    if (fragmentBytes === undefined) {
      this.write(bytes)
      return
    }
    for (let at = 0; at < bytes.length && !this.isEnded; at += fragmentBytes) {
      this.write(bytes.slice(at, at + fragmentBytes))
      await delay(1)
    }
  }

  async #awaitText(text: string, maxMs: number): Promise<void> {
    const startedAt = performance.now()
    while (!this.received.includes(text) && !this.isEnded && performance.now() - startedAt < maxMs) await delay(awaitPollMs)
  }

  #onEnd(): void {
    this.isEnded = true
    this.#consider()
  }

  /** After each event: is this enough, and how long must it stay quiet to be the end? */
  #consider(): void {
    if (this.#isSettled) return
    clearTimeout(this.#quiet)
    if (this.isEnded) {
      this.#settle('closed')
      return
    }
    const quietMs = this.#quietMs()
    if (quietMs !== null) this.#quiet = setTimeout(() => this.#settle('idle'), quietMs)
  }

  #quietMs(): number | null {
    const { answersToHead, responsesDue, awaitsClose, settleMs, refusalSettleMs } = this.#plan
    const { finals, fault } = readResponses(this.received, answersToHead, false)
    if (fault !== null) return refusalSettleMs
    const last = finals.at(-1)
    if (last === undefined || !last.complete) return null
    const isRefusal = last.status >= 400 && valuesOf(last.fields, 'x-origin').length === 0
    const announcesClose = finals.some(({ fields }) => valuesOf(fields, 'connection').some((value) => /close/i.test(value)))
    if (isRefusal || awaitsClose) return refusalSettleMs
    if (finals.length < responsesDue) return null
    return announcesClose || this.#isSending ? refusalSettleMs : settleMs
  }

  #settle(reason: SettleReason): void {
    if (this.#isSettled) return
    this.#isSettled = true
    clearTimeout(this.#timeout)
    clearTimeout(this.#quiet)
    this.#resolve(reason)
  }
}
