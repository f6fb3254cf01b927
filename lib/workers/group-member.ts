/**
 * The worker's end of a group: gets its orders from the primary, has a proxy listen on the sockets that were inherited, tells how it is, and
 * drains when it is told to or when the primary is gone. What the proxy is, and where its logs go, is for the module that calls this to
 * say. Signals are for the primary: from a terminal or a service manager they reach every process of the group.
 */
import { isDeepStrictEqual } from 'node:util'
import { assert } from '../core/assert.ts'
import type { ProxyOptions } from '../core/options.ts'
import type { Logger } from '../observe/logger.ts'
import type { Proxy } from '../proxy.ts'
import { AcceptShare } from './accept-share.ts'
import { LiveFeed } from './live-feed.ts'
import { beatMs, type FromWorker, type ToWorker, type WorkerChange, type WorkerStart } from './messages.ts'

export interface MemberHooks {
  /** The access log was moved away. */
  onReopen?: () => void
  /**
   * The group has another payload, for exchanges that end from now on; the options of the proxy are changed without it. Rejects with an Error
   * in words for people when that takes another process, as every other payload does without this hook.
   */
  onPayload?: (payload: unknown) => Promise<void>
  /** More or less is to be logged from now on. */
  onLogLevel?: (level: string) => void
  /** The primary has ended, however that came; the worker drains. */
  onOrphaned?: () => void
}

export class GroupMember {
  readonly #start: WorkerStart
  #payload: unknown
  /** Log lines for the primary, which writes them with the number of this worker. */
  readonly logger: Logger
  #proxy: Proxy | undefined
  #hooks: MemberHooks = {}
  /** A beat that the primary has not taken yet: it may stand still, and must not fill our memory. */
  #isBeating = false
  #share: AcceptShare | undefined
  #feed: LiveFeed | undefined
  #graceTimer: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined
  readonly #graceEnd = new AbortController()

  /** Resolves with the first order. Throws when this process is no worker of a group. */
  static async join(): Promise<GroupMember> {
    if (process.send === undefined) throw new Error('this module is started by a proxy group, with a channel to it')
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGUSR2'] as const) process.on(signal, () => {})
    const start = await new Promise<WorkerStart>((resolve, reject) => {
      process.once('message', (message: ToWorker) => {
        process.off('disconnect', onDisconnect)
        assert(message.kind === 'start', `the first message is ${message.kind}`)
        resolve(message.start)
      })
      const onDisconnect = (): void => reject(new Error('the primary ended before it said what to do'))
      process.once('disconnect', onDisconnect)
    })
    return new GroupMember(start)
  }

  private constructor(start: WorkerStart) {
    this.#start = start
    this.#payload = start.payload
    const forward =
      (level: keyof Logger) =>
      (fields: object, message: string): void =>
        tell({ kind: 'log', level, fields: cloneable(fields), message })
    this.logger = {
      trace: forward('trace'),
      debug: forward('debug'),
      info: forward('info'),
      warn: forward('warn'),
      error: forward('error'),
      fatal: forward('fatal'),
    }
    process.on('message', (message: ToWorker) => this.#onMessage(message))
    process.once('disconnect', () => this.#onDisconnect())
    process.on('SIGTERM', () => tell({ kind: 'retire' }))
  }

  /** From 1, the same for a worker and its replacement. */
  get number(): number {
    return this.#start.number
  }

  /** For the proxy of this worker: limits of the group are divided already. */
  get options(): ProxyOptions {
    return this.#start.options
  }

  /** What was given to the group for its workers, at first or since. */
  get payload(): unknown {
    return this.#payload
  }

  /** Resolves when the proxy has drained and the primary has its last figures. Rejects when the proxy cannot listen; call `fail` then. */
  async serve(proxy: Proxy, hooks: MemberHooks = {}): Promise<void> {
    this.#proxy = proxy
    this.#hooks = hooks
    const closed = new Promise<void>((resolve) => proxy.once('close', resolve))
    for (const { address, fd } of this.#start.sockets) await proxy.listen(address, { fd })
    this.#share = this.#shareAccept(proxy)
    this.#feed = new LiveFeed(proxy, this.number, (event) => tell({ kind: 'event', event }))
    tell({ kind: 'ready' })
    const beats = setInterval(() => this.#beat(), beatMs)
    await closed
    clearInterval(beats)
    clearTimeout(this.#graceTimer)
    await tellAndWait({ kind: 'farewell', stats: proxy.stats })
    if (process.connected) process.disconnect()
  }

  /** Tells the primary why this worker cannot start. It is for the caller to end the process. */
  async fail(error: unknown): Promise<void> {
    await tellAndWait({ kind: 'failed', message: error instanceof Error ? error.message : String(error) })
  }

  #onMessage(message: ToWorker): void {
    const proxy = this.#proxy
    if (proxy === undefined) return
    switch (message.kind) {
      case 'start':
        return
      case 'drain':
        return this.#drain(proxy, message.graceMs, message.idleMs)
      case 'destroy':
        return proxy.destroy()
      case 'reopen':
        return this.#hooks.onReopen?.()
      case 'reload':
        void this.#reload(proxy, message).then((refusal) => tell({ kind: 'reloaded', question: message.question, refusal }))
        return
      case 'stats':
        return tell({ kind: 'stats', question: message.question, stats: proxy.stats })
      case 'server': {
        const { group, server, state } = message.order
        return tell({ kind: 'server', question: message.question, isKnown: proxy.setServerState(group, server, state) })
      }
      case 'watch':
        return message.isWatched ? this.#feed?.follow() : this.#feed?.leave()
      case 'log-level':
        return this.#hooks.onLogLevel?.(message.level)
      case 'level':
        return this.#share?.onLevel(message.connections)
    }
  }

  /** Why it cannot be taken. One that drains begins no exchanges. */
  async #reload(proxy: Proxy, { options, payload, closed }: WorkerChange): Promise<string | undefined> {
    try {
      if (this.#closing === undefined) {
        proxy.reload(options)
        for (const address of closed) proxy.unlisten(address)
      }
      await this.#takePayload(payload)
      return undefined
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  async #takePayload(payload: unknown): Promise<void> {
    if (isDeepStrictEqual(payload, this.#payload)) return
    const { onPayload } = this.#hooks
    if (onPayload === undefined) throw new Error('it has another payload')
    const before = this.#payload
    this.#payload = payload
    try {
      await onPayload(payload)
    } catch (error) {
      if (this.#payload === payload) this.#payload = before
      throw error
    }
  }

  #shareAccept(proxy: Proxy): AcceptShare {
    const share = new AcceptShare({
      // One that drains has closed its sockets.
      hold: () => this.#closing === undefined && proxy.holdAccept(),
      free: () => {
        if (this.#closing === undefined) proxy.freeAccept()
      },
      report: (connections) => tell({ kind: 'count', connections }),
      schedule: (ms, callback) => void setTimeout(callback, ms).unref(),
    })
    proxy.watchConnections((connections) => share.onConnections(connections))
    return share
  }

  /** Without a primary there is nobody who would replace us or tell us to end: finish, and leave the port to others. */
  #onDisconnect(): void {
    const proxy = this.#proxy
    if (proxy === undefined) process.exit(1)
    if (this.#closing === undefined) this.#hooks.onOrphaned?.()
    this.#drain(proxy, proxy.config.timeouts.drain, 0)
  }

  #drain(proxy: Proxy, graceMs: number, idleMs: number): void {
    if (this.#closing === undefined) {
      this.#closing = proxy.close({ graceMs, idleMs, signal: this.#graceEnd.signal })
      return
    }
    // It is draining for a replacement already, with more time than there is now.
    clearTimeout(this.#graceTimer)
    this.#graceTimer = setTimeout(() => this.#graceEnd.abort(), graceMs).unref()
  }

  #beat(): void {
    this.#share?.onBeat()
    if (this.#isBeating || this.#proxy === undefined) return
    this.#isBeating = true
    void tellAndWait({ kind: 'beat', stats: this.#proxy.stats }).then(() => (this.#isBeating = false))
  }
}

function tell(message: FromWorker): void {
  // A channel that breaks is reported by 'disconnect'.
  if (process.connected) process.send?.(message, undefined, undefined, () => {})
}

function tellAndWait(message: FromWorker): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected && process.send !== undefined) process.send(message, undefined, undefined, () => resolve())
    else resolve()
  })
}

/** What cannot be sent is told as text; a log line is not worth a fault. */
function cloneable(fields: object): object {
  try {
    return structuredClone(fields)
  } catch {
    return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? value : String(value)]))
  }
}
