/**
 * The Redis or Valkey in which several processes keep the accounts of limits that they share. It takes questions, and knows at every moment
 * whether it is worth asking: nobody waits for it. It is usable after a question of its own was answered in time, and until one is late, or
 * answered with an error, or the connection ends. One that stops being usable again and again is believed later each time. It knows nothing of
 * limits; its client library is loaded when there is a store.
 */
import { isIP } from 'node:net'
import type { Redis as RedisClient } from 'ioredis'
import type { Clock } from '../core/timers.ts'
import type { RateLimitStoreOptions } from '../core/service-options.ts'
import { gcraScript, gcraScriptHash } from './gcra-script.ts'
import { readStoreUrl, type StoreAddress } from './store-url.ts'

/** `ready`: it is asked. `slow`: an answer was late. `failing`: it answers with errors. `gone`: there is no connection. */
export type StoreState = 'connecting' | 'ready' | 'slow' | 'failing' | 'gone'

export interface StoreQuestion {
  readonly key: string
  readonly limit: {
    readonly options: { readonly requests: number; readonly perMs: number; readonly burst: number }
    onAnswer(question: StoreQuestion, granted: number, aheadMs: number, nowMs: number): void
    onNoAnswer(question: StoreQuestion): void
  }
  /** Requests let through already. */
  charge: number
  /** Requests to be leased. */
  readonly want: number
}

export interface StoreEvents {
  /** `reason` is empty for `ready`. */
  onStoreState(state: StoreState, reason: string): void
  /** What is to be told of it: that it stops being used, once, and that it is used again, not before it stays when it came and went. */
  onStoreUse(isUsed: boolean, state: StoreState, reason: string): void
  onFault(error: unknown): void
}

export interface StoreStats {
  readonly state: StoreState
  readonly questionsTotal: number
  readonly answersTotal: number
  readonly errorsTotal: number
  readonly lateTotal: number
  readonly reconnectsTotal: number
}

/** Questions that may be open at a time. */
const openMax = 1_000
/** How often a store that is not usable is asked whether it is again. */
const probeMs = 250
/**
 * One that is used is asked so often at least: servers, and what stands before them, close connections on which nothing happens. One that was used
 * for less comes and goes: it is believed later, twice as late each time.
 */
const heartbeatMs = 15_000
const doubtMaxMs = 5_000
/** On a new connection the first answers may be late: the server reads the script, and this process starts. */
const warmUpsMax = 3
/** A connection on which something is waited for and nothing comes for so long is given up. */
const silenceMs = 3_000
const connectMs = 3_000
const reconnectMinMs = 50
/** A connection that did not last so long either counts as one more that failed. */
const reconnectMaxMs = 5_000

interface Open {
  readonly question: StoreQuestion
  readonly askedAt: number
}

export class SharedStore {
  readonly options: RateLimitStoreOptions
  readonly onError: RateLimitStoreOptions['onError']
  /** Whether questions are answered, as far as is known. */
  isReady = false
  readonly #clock: Clock
  readonly #events: StoreEvents
  readonly #random: () => number
  readonly #address: StoreAddress
  #redis: RedisClient | undefined
  #state: StoreState = 'connecting'
  #isClosed = false
  #isProbing = false
  #warmUps = 0
  /** In the order in which they were asked, which is that of the answers. */
  readonly #open = new Set<Open>()
  #cancelWatch: (() => void) | undefined
  #cancelProbe: (() => void) | undefined
  #lastError = ''
  /** The server does not let us have the database that was asked for; its client would go on with another one. */
  #lacksDatabase = false
  /** Connections in a row that failed or did not last. */
  #failures = 0
  #connectedAt = Number.POSITIVE_INFINITY
  /** How often in a row it stopped being usable soon after it was, when it last became usable, and before when it is not believed again. */
  #setbacks = 0
  #readyAt = 0
  #believedAt = 0
  /** Whether it was last told to be used; at first nothing was. */
  #toldUsed: boolean | undefined

  #questionsTotal = 0
  #answersTotal = 0
  #errorsTotal = 0
  #lateTotal = 0
  #reconnectsTotal = 0

  /** `options` have been checked by `findStoreFault`. */
  constructor(options: RateLimitStoreOptions, clock: Clock, events: StoreEvents, random: () => number = Math.random) {
    this.options = options
    this.onError = options.onError
    this.#clock = clock
    this.#events = events
    this.#random = random
    this.#address = readStoreUrl(options.url)!
    this.#connect().catch((error: unknown) => {
      if (!this.#isClosed) this.#to('gone', describe(error))
    })
  }

  get hasRoom(): boolean {
    return this.#open.size < openMax
  }

  get stats(): StoreStats {
    return {
      state: this.#state,
      questionsTotal: this.#questionsTotal,
      answersTotal: this.#answersTotal,
      errorsTotal: this.#errorsTotal,
      lateTotal: this.#lateTotal,
      reconnectsTotal: this.#reconnectsTotal,
    }
  }

  /** The answer goes to `question.limit`. */
  ask(question: StoreQuestion): void {
    const { requests, perMs, burst } = question.limit.options
    const costMicros = (perMs * 1_000) / requests
    const open: Open = { question, askedAt: this.#clock.now() }
    this.#questionsTotal++
    this.#open.add(open)
    if (this.#cancelWatch === undefined) this.#watch(this.options.deadlineMs)
    this.#run(question.key, costMicros, (burst - 1) * costMicros, question.charge, question.want).then(
      (reply) => this.#onReply(open, reply),
      (error: unknown) => this.#onFailure(open, error),
    )
  }

  /** Nothing is asked or told any more. */
  close(): void {
    this.#isClosed = true
    this.isReady = false
    this.#cancelWatch?.()
    this.#cancelProbe?.()
    this.#redis?.disconnect()
  }

  async #connect(): Promise<void> {
    const { Redis } = await import('ioredis')
    if (this.#isClosed) return
    const { host, port, username, password, db, isSecure } = this.#address
    const { ca, certificate, key } = this.options
    const redis = new Redis({
      host,
      port,
      ...(username !== '' && { username }),
      ...(password !== '' && { password }),
      db,
      // An address is no name that a certificate is chosen by, RFC 6066 section 3.
      ...(isSecure && { tls: { ...(isIP(host) === 0 && { servername: host }), ca, cert: certificate, key } }),
      // Known to every server that knows scripts.
      protocol: 2,
      disableClientInfo: true,
      // A probe tells more than INFO, which a user of few rights may not have.
      enableReadyCheck: false,
      lazyConnect: true,
      connectTimeout: connectMs,
      socketTimeout: silenceMs,
      // What was not answered is not asked again: it would be charged twice. And nothing is gathered for later.
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      retryStrategy: () => this.#backOff(),
    })
    this.#redis = redis
    redis.on('error', (error: unknown) => {
      this.#lastError = describe(error)
      if (isAboutDatabase(error)) this.#lacksDatabase = true
    })
    redis.on('reconnecting', () => this.#reconnectsTotal++)
    redis.on('ready', () => this.#onConnected())
    redis.on('close', () => this.#onDisconnected())
    await redis.connect().catch((error: unknown) => (this.#lastError = describe(error)))
  }

  /** Until it is connected to again. Half of it is chance, so that all that have lost the store at one moment do not come back at one moment. */
  #backOff(): number {
    this.#clock.refresh()
    this.#failures = this.#clock.now() - this.#connectedAt >= reconnectMaxMs ? 1 : this.#failures + 1
    this.#connectedAt = Number.POSITIVE_INFINITY
    return Math.min(reconnectMaxMs, reconnectMinMs * 2 ** this.#failures) * (0.5 + this.#random() / 2)
  }

  #onConnected(): void {
    if (this.#isClosed) return
    this.#clock.refresh()
    this.#connectedAt = this.#clock.now()
    this.#isProbing = false
    this.#warmUps = warmUpsMax
    if (this.#lacksDatabase) return this.#fail(this.#lastError)
    this.#probeAfter(0)
  }

  #onDisconnected(): void {
    if (this.#isClosed) return
    this.#clock.refresh()
    this.#isProbing = false
    this.#cancelProbe?.()
    this.#to('gone', this.#lastError || 'the connection ended')
    this.#lastError = ''
    this.#lacksDatabase = false
  }

  /** The same script on a key of its own: only what works as a whole is used. */
  #probe(): void {
    this.#cancelProbe = undefined
    if (this.#isClosed || this.#isProbing || this.#redis?.status !== 'ready') return
    this.#isProbing = true
    const askedAt = this.#clock.now()
    this.#run('probe', 1_000, 0, 1, 0).then(
      (reply) => {
        this.#clock.refresh()
        this.#isProbing = false
        if (this.#isClosed) return
        if (readReply(reply) === undefined) return this.#fail(noReply)
        if (this.#clock.now() - askedAt <= this.options.deadlineMs) {
          this.#warmUps = warmUpsMax
          if (this.#state === 'ready') this.#setbacks = 0
          else this.#to('ready', '')
          // Having been believed once too early is no coming and going.
          if (this.#setbacks <= 1) this.#tellUse(true, '')
          this.#probeAfter(heartbeatMs)
        } else if (this.#warmUps-- > 0) this.#probe()
        else {
          this.#to('slow', 'it answers later than the deadline')
          this.#probeAfter(probeMs)
        }
      },
      (error: unknown) => {
        this.#clock.refresh()
        this.#isProbing = false
        if (!this.#isClosed && this.#redis?.status === 'ready') this.#fail(describe(error))
      },
    )
  }

  /** In `ms`, and not before it is believed again. */
  #probeAfter(ms: number): void {
    this.#cancelProbe?.()
    const waitMs = Math.max(ms, this.#believedAt - this.#clock.now())
    if (waitMs <= 0) return this.#probe()
    this.#cancelProbe = this.#clock.schedule(waitMs, () => this.#probe())
  }

  /** It answers, and not with what was asked for. */
  #fail(reason: string): void {
    this.#to('failing', reason)
    // Another server may be the one to write to by now, or have the database, and be at this address: only a new connection finds it.
    if (this.#lacksDatabase || reason.startsWith('READONLY')) this.#redis!.disconnect(true)
    else this.#probeAfter(probeMs)
  }

  /** By its hash, and as a whole to a server that does not know it: one that was started or flushed since. */
  async #run(key: string, costMicros: number, leadMicros: number, charge: number, want: number): Promise<unknown> {
    const redis = this.#redis!
    const args = [this.options.prefix + key, String(costMicros), String(leadMicros), String(charge), String(want)] as const
    try {
      return await redis.evalsha(gcraScriptHash, 1, ...args)
    } catch (error) {
      if (!describe(error).startsWith('NOSCRIPT')) throw error
      return redis.eval(gcraScript, 1, ...args)
    }
  }

  #onReply(open: Open, reply: unknown): void {
    const answer = readReply(reply)
    if (answer === undefined) return this.#onFailure(open, new Error(noReply))
    this.#clock.refresh()
    this.#open.delete(open)
    this.#answersTotal++
    if (this.#isClosed) return
    // Of a late answer, too, what it says is true.
    this.#tell(() => open.question.limit.onAnswer(open.question, answer.granted, answer.aheadMicros / 1_000, this.#clock.now()))
  }

  #onFailure(open: Open, error: unknown): void {
    this.#clock.refresh()
    this.#open.delete(open)
    this.#errorsTotal++
    this.#tell(() => open.question.limit.onNoAnswer(open.question))
    // Without a connection there is another event for it.
    if (!this.#isClosed && this.#redis?.status === 'ready') this.#fail(describe(error))
  }

  #watch(ms: number): void {
    this.#cancelWatch = this.#clock.schedule(ms, () => {
      // When it was this process that stood still, its answers have come and are read first.
      this.#clock.defer(() => this.#checkOldest())
    })
  }

  #checkOldest(): void {
    this.#cancelWatch = undefined
    const oldest = this.#open.values().next().value
    if (oldest === undefined || this.#isClosed) return
    const leftMs = oldest.askedAt + this.options.deadlineMs - this.#clock.now()
    if (leftMs > 0) return this.#watch(leftMs)
    this.#lateTotal++
    if (this.#redis?.status !== 'ready') return
    this.#to('slow', `no answer in ${this.options.deadlineMs} ms`)
    this.#probeAfter(probeMs)
  }

  #to(state: StoreState, reason: string): void {
    const previous = this.#state
    this.isReady = state === 'ready'
    if (state === previous) return
    this.#state = state
    const now = this.#clock.now()
    if (state === 'ready') this.#readyAt = now
    else if (previous === 'ready') {
      this.#setbacks = now - this.#readyAt < heartbeatMs ? this.#setbacks + 1 : 0
      this.#believedAt = now + Math.min(doubtMaxMs, probeMs * 2 ** this.#setbacks)
    }
    this.#tell(() => this.#events.onStoreState(state, reason))
    if (state !== 'ready') this.#tellUse(false, reason)
  }

  #tellUse(isUsed: boolean, reason: string): void {
    if (this.#toldUsed === isUsed) return
    this.#toldUsed = isUsed
    this.#tell(() => this.#events.onStoreUse(isUsed, this.#state, reason))
  }

  /** Called from promises, where nobody catches. */
  #tell(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#events.onFault(error)
    }
  }
}

const noReply = 'it answers something else than asked for'

function readReply(reply: unknown): { readonly granted: number; readonly aheadMicros: number } | undefined {
  if (!Array.isArray(reply) || reply.length !== 2) return undefined
  const granted = Number(reply[0])
  const aheadMicros = Number(reply[1])
  return Number.isSafeInteger(granted) && granted >= 0 && Number.isFinite(aheadMicros) && aheadMicros >= 0
    ? { granted, aheadMicros }
    : undefined
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function isAboutDatabase(error: unknown): boolean {
  return (error as { readonly command?: { readonly name?: string } }).command?.name === 'select'
}
