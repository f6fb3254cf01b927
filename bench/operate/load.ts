/**
 * Steady load: requests are due at a fixed rate whatever comes back, each is one of a kind, and each answer is checked to be its own and
 * whole. A request that has not its right answer is lost; nothing is sent twice. It judges nothing and disturbs nobody.
 */
import { randomBytes } from 'node:crypto'
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

export interface LoadOptions {
  readonly port: number
  readonly requestsPerSecond: number
  /** More connections than this are never open. */
  readonly connectionsMax: number
}

export interface Sent {
  /** In the target, and in the answer. */
  readonly check: string
  readonly method: 'GET' | 'POST'
  /** On the clock of `performance.now()`. */
  readonly dueAt: number
  doneAt: number
  /** '' for the right answer, or what came instead. */
  loss: string
  /** A head with status 200 had come. */
  hadBegun: boolean
}

interface Kind {
  readonly host: string
  readonly path: string
  readonly method: 'GET' | 'POST'
  readonly body: Buffer | undefined
  /** Of every so many requests. */
  readonly share: number
  readonly answerBytes: number | undefined
}

// oxfmt-ignore
const kinds: readonly Kind[] = [
  { host: 'shop.example', path: '/api/items', method: 'GET', body: undefined, share: 5, answerBytes: undefined },
  { host: 'shop.example', path: '/api/slow', method: 'GET', body: undefined, share: 2, answerBytes: undefined },
  { host: 'shop.example', path: '/api/large', method: 'GET', body: undefined, share: 1, answerBytes: 65_536 },
  { host: 'blog.example', path: '/posts', method: 'GET', body: undefined, share: 1, answerBytes: undefined },
  { host: 'shop.example', path: '/api/orders', method: 'POST', body: Buffer.alloc(1_024, 'o'), share: 1, answerBytes: undefined },
]
const turn = kinds.flatMap((kind) => Array<Kind>(kind.share).fill(kind))
/** Far beyond every deadline of the proxy: this long without an answer is no answer. */
const answerMs = 15_000
const tickMs = 5

export class Load {
  readonly sent: Sent[] = []
  readonly #options: LoadOptions
  readonly #agent: http.Agent
  readonly #run = randomBytes(3).toString('hex')
  #isStopping = false
  #pending = 0
  #done: Promise<void> | undefined

  constructor(options: LoadOptions) {
    this.#options = options
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: options.connectionsMax, scheduling: 'fifo' })
  }

  start(): void {
    this.#done = this.#send()
  }

  /** Sends no more, and resolves when every request has its answer or is lost. */
  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#done
    while (this.#pending > 0) await delay(tickMs)
    this.#agent.destroy()
  }

  async #send(): Promise<void> {
    const startedAt = performance.now()
    const intervalMs = 1_000 / this.#options.requestsPerSecond
    while (!this.#isStopping) {
      for (let due = startedAt + this.sent.length * intervalMs; due <= performance.now(); due += intervalMs) this.#begin(due)
      await delay(tickMs)
    }
  }

  #begin(dueAt: number): void {
    const { host, path, method, body, answerBytes } = turn[this.sent.length % turn.length]!
    const check = `${this.#run}-${this.sent.length}`
    const sent: Sent = { check, method, dueAt, doneAt: -1, loss: '', hadBegun: false }
    this.sent.push(sent)
    this.#pending += 1
    const settle = (loss: string): void => {
      if (sent.doneAt >= 0) return
      sent.doneAt = performance.now()
      sent.loss = loss
      this.#pending -= 1
    }
    const { port } = this.#options
    const headers = { host, 'x-check': check, ...(body !== undefined && { 'content-length': body.length }) }
    const request = http.request({ host: '127.0.0.1', port, path: `${path}?check=${check}`, method, headers, agent: this.#agent })
    request.setTimeout(answerMs, () => request.destroy(new Error(`no answer in ${answerMs} ms`)))
    request.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message))
    request.on('response', (response) => {
      const { statusCode = 0 } = response
      sent.hadBegun = statusCode === 200
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', (error: NodeJS.ErrnoException) => settle(`cut: ${error.code ?? error.message}`))
      response.on('end', () => {
        if (statusCode !== 200) return settle(`status ${statusCode}`)
        const text = Buffer.concat(chunks)
        const isRight =
          response.headers['x-check'] === check &&
          (answerBytes === undefined ? text.includes(`check=${check}"`) : text.length === answerBytes) &&
          (body === undefined || text.includes(`"bodyBytes":${body.length}`))
        settle(isRight ? '' : 'an answer that is not its own')
      })
    })
    request.end(body)
  }
}
