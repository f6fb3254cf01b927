/**
 * Copies of requests that a group gets beside what it is asked for: each is sent as a whole, octet for octet as the original, on connections
 * that carry copies only, and its answer is thrown away. Nobody waits for a copy: there is a bounded number at a time, one that is late is
 * cut, and one too many is dropped and counted. It owns the copies; the connections are the pools'.
 */
import type { ResponseContext, ResponseHead } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'
import { Deadline, type DeadlineOwner } from '../core/timers.ts'
import type { ConnectionUser, RequestingClient, UpstreamConnection } from './connection.ts'
import type { UpstreamEnvironment } from './environment.ts'
import type { UpstreamGroup } from './group.ts'
import { Waiter } from './pool.ts'
import type { Server } from './server.ts'

/** At a time, to one group. */
export const copiesMax = 128

/** Why there was no copy of a request that should have had one. `incomplete`: the request, or its exchange, ended too early. */
export const mirrorDrops = ['busy', 'too-large', 'incomplete'] as const
export type MirrorDrop = (typeof mirrorDrops)[number]

export interface MirrorStats {
  /** Copies that were begun. */
  readonly copiesTotal: number
  /** Copies that had no complete answer, in time and not too long. */
  readonly copiesFailedTotal: number
  readonly copiesDroppedTotal: { readonly [K in MirrorDrop]: number }
}

/** Whose copies they are, for those who ask: no client of ours is told, or ended, for what a copy does. */
const mirrorClient: RequestingClient = { socket: { remote: 'mirror' }, retire: () => {} }

/** The group, as a copy needs it. */
export type MirrorTarget = Pick<UpstreamGroup, 'pick' | 'leave' | 'onSuccess' | 'onFailure'>

const noTries: readonly Server[] = Object.freeze([])

export class Mirror {
  readonly #target: MirrorTarget
  readonly #environment: UpstreamEnvironment
  #active = 0
  #copies = 0
  #failed = 0
  readonly #dropped = { busy: 0, 'too-large': 0, incomplete: 0 }

  constructor(target: MirrorTarget, environment: UpstreamEnvironment) {
    this.#target = target
    this.#environment = environment
  }

  get active(): number {
    return this.#active
  }

  get stats(): MirrorStats {
    return { copiesTotal: this.#copies, copiesFailedTotal: this.#failed, copiesDroppedTotal: { ...this.#dropped } }
  }

  /** Whether this request is one of the share, from 0 to 1. Before anything of it is kept: what finds no room later is dropped then. */
  takes(share: number): boolean {
    if (share < 1 && this.#environment.random() >= share) return false
    if (this.#active < copiesMax) return true
    this.drop('busy')
    return false
  }

  drop(reason: MirrorDrop): void {
    this.#dropped[reason]++
  }

  /** Sends a copy: the pieces of a complete request, which stay as they are. Never throws. */
  send(pieces: readonly (string | Buffer)[], context: ResponseContext): void {
    if (this.#active >= copiesMax) return this.drop('busy')
    this.#active++
    this.#copies++
    const copy = new Copy(pieces, context, this.#target, this.#environment, (isAnswered) => {
      this.#active--
      if (!isAnswered) this.#failed++
    })
    copy.start()
  }
}

class Copy extends Waiter implements ConnectionUser, DeadlineOwner {
  /** It is nobody's exchange. */
  readonly exchangeNumber = 0
  readonly exchangeId = ''
  readonly #pieces: readonly (string | Buffer)[]
  readonly #context: ResponseContext
  readonly #target: MirrorTarget
  readonly #environment: UpstreamEnvironment
  readonly #deadline: Deadline = new Deadline(this)
  readonly #onOver: (isAnswered: boolean) => void
  #server: Server | undefined
  #connection: UpstreamConnection | undefined
  #bodyBytes = 0
  #isComplete = false
  #isOver = false

  constructor(
    pieces: readonly (string | Buffer)[],
    context: ResponseContext,
    target: MirrorTarget,
    environment: UpstreamEnvironment,
    onOver: (isAnswered: boolean) => void,
  ) {
    super()
    this.#pieces = pieces
    this.#context = context
    this.#target = target
    this.#environment = environment
    this.#onOver = onOver
  }

  override get client(): RequestingClient {
    return mirrorClient
  }

  start(): void {
    const { wheel, config } = this.#environment
    // One time for all of it: who waits for nothing need not tell phases apart.
    wheel.arm(this.#deadline, 'mirror', config.timeouts.responseHead)
    // It is no client's, so that there is nothing to choose by but load.
    this.#server = this.#target.pick(noTries, '', false)
    if (this.#server === undefined) return this.#end(false)
    let connection: UpstreamConnection | undefined
    try {
      connection = this.#server.pool.acquire(this, false)
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      return this.#end(false)
    }
    if (connection !== undefined) this.onConnectionReady(connection)
  }

  override onConnectionReady(connection: UpstreamConnection): void {
    this.#connection = connection
    connection.assign(this)
    connection.expect(this.#context)
    // A connection that has carried a copy carries copies only: nothing that they leave behind meets a client.
    connection.reservedFor = mirrorClient
    for (const piece of this.#pieces) connection.write(piece)
    connection.awaitResponse()
  }

  override onConnectionFailed(): void {
    this.#target.onFailure(this.#server!)
    this.#end(false)
  }

  onResponseHead(_head: ResponseHead): void {}

  onResponseBody(_bytes: Uint8Array, start: number, end: number): void {
    this.#bodyBytes += end - start
  }

  onResponseTrailers(): void {}

  onResponseComplete(): void {
    this.#isComplete = true
  }

  onUpstreamTurnEnd(): void {
    const connection = this.#connection!
    if (this.#isComplete) {
      this.#connection = undefined
      this.#server!.pool.release(connection)
      this.#target.onSuccess(this.#server!)
      return this.#end(true)
    }
    if (this.#bodyBytes > this.#environment.config.limits.lingerBytes) this.#end(false)
  }

  onUpstreamDrain(): void {}

  onUpstreamLost(): void {
    this.#connection = undefined
    this.#end(false)
  }

  // A copy offers no other protocol, so that its answer cannot be a switch to one.
  onTunnelData(): void {
    this.#end(false)
  }

  onTunnelEnd(): void {
    this.#end(false)
  }

  onTunnelClose(): void {
    this.#end(false)
  }

  onDeadline(): void {
    this.#end(false)
  }

  #end(isAnswered: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#environment.wheel.remove(this.#deadline)
    if (this.waitsIn !== undefined) this.waitsIn.cancel(this)
    const connection = this.#connection
    this.#connection = undefined
    connection?.terminate()
    if (this.#server !== undefined) this.#target.leave(this.#server, false)
    this.#onOver(isAnswered)
  }
}
