/**
 * Two connections that carry another protocol after a 101: bytes go through as they are, each side holds the other back when it is full,
 * a FIN is passed on, and what nobody uses for long is closed.
 */
import type { ExchangeErrorCode } from '../core/errors.ts'
import type { ProxyConfig } from '../core/options.ts'
import { Deadline, type DeadlineOwner, type TimerWheel } from '../core/timers.ts'
import type { ByteSocket } from '../net/byte-socket.ts'
import { HoldReason, type Hold } from '../net/hold.ts'
import type { UpstreamConnection } from '../upstream/connection.ts'
import type { ClientSide } from './client-side.ts'

export interface TunnelEvents {
  onBytesOut(bytes: number): void
  /** Both connections are closed or closing. `code` says why, when they did not end by themselves. */
  onTunnelOver(code: ExchangeErrorCode | undefined, side: 'client' | 'upstream' | undefined): void
}

export class Tunnel implements DeadlineOwner {
  readonly #client: ClientSide
  readonly #upstream: UpstreamConnection
  readonly #wheel: TimerWheel
  readonly #config: ProxyConfig
  readonly #events: TunnelEvents
  readonly #deadline: Deadline = new Deadline(this)
  #clientEnded = false
  #upstreamEnded = false
  #isOver = false

  constructor(client: ClientSide, upstream: UpstreamConnection, wheel: TimerWheel, config: ProxyConfig, events: TunnelEvents) {
    this.#client = client
    this.#upstream = upstream
    this.#wheel = wheel
    this.#config = config
    this.#events = events
    client.socket.keepAlive()
    this.#touch()
  }

  onClientData(bytes: Buffer, start: number, end: number): void {
    this.#touch()
    relay(bytes, start, end, this.#client.socket, this.#client.hold, this.#upstream.socket)
  }

  onUpstreamData(bytes: Buffer, start: number, end: number): void {
    this.#touch()
    this.#events.onBytesOut(end - start)
    relay(bytes, start, end, this.#upstream.socket, this.#upstream.hold, this.#client.socket)
  }

  onClientDrain(): void {
    this.#touch()
    this.#upstream.hold.free(HoldReason.SINK_FULL)
  }

  onUpstreamDrain(): void {
    this.#touch()
    this.#client.hold.free(HoldReason.SINK_FULL)
  }

  onClientEnd(): void {
    this.#clientEnded = true
    this.#upstream.socket.end()
    this.#touch()
  }

  onUpstreamEnd(): void {
    this.#upstreamEnded = true
    this.#client.socket.end()
    this.#touch()
  }

  onClientClose(error: Error | undefined): void {
    // What the client sent before its FIN still has to reach the upstream, which closes when it has it all, or is late.
    if (error === undefined && this.#clientEnded && this.#upstreamEnded && this.#upstream.socket.unsentBytes > 0) return
    this.#close(error, 'client')
  }

  onUpstreamClose(error: Error | undefined): void {
    this.#close(error, 'upstream')
  }

  /** Cuts both sides. */
  terminate(code: ExchangeErrorCode): void {
    this.#finish(code)
  }

  onDeadline(deadline: Deadline): void {
    this.#finish(deadline.phase === 'halfClose' ? 'ERR_EPROXY_TUNNEL_HALF_CLOSED' : 'ERR_EPROXY_TUNNEL_IDLE')
  }

  /** One side is gone. With an error the other one is cut; otherwise both have ended, and the other closes when it has sent all. */
  #close(error: Error | undefined, side: 'client' | 'upstream'): void {
    const isClean = error === undefined && this.#clientEnded && this.#upstreamEnded
    if (isClean) this.#finish(undefined)
    else this.#finish('ERR_EPROXY_TUNNEL_RESET', side)
  }

  #finish(code: ExchangeErrorCode | undefined, side?: 'client' | 'upstream'): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#wheel.remove(this.#deadline)
    this.#upstream.terminate()
    this.#events.onTunnelOver(code, side)
  }

  #touch(): void {
    const { timeouts } = this.#config
    if (this.#clientEnded || this.#upstreamEnded) this.#wheel.arm(this.#deadline, 'halfClose', timeouts.halfClose)
    else this.#wheel.arm(this.#deadline, 'tunnelIdle', timeouts.tunnelIdle)
  }
}

function relay(bytes: Buffer, start: number, end: number, source: ByteSocket, hold: Hold, sink: ByteSocket): void {
  const part = bytes.subarray(start, end)
  const data = source.owns(bytes) ? part : Buffer.from(part)
  if (sink.write(data)) return
  source.partWith(data)
  hold.hold(HoldReason.SINK_FULL)
}
