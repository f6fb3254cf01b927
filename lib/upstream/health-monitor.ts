/**
 * Asks one server again and again how it is, and keeps what it is taken for: `fall` bad answers in a row take it down, `rise` good ones bring
 * it back. The first answer alone decides for a server of which nothing is known yet; until then it is taken for well.
 */
import { formatAddress, type Address } from '../core/options.ts'
import type { HealthOptions } from '../core/service-options.ts'
import { Deadline, type DeadlineOwner } from '../core/timers.ts'
import type { UpstreamEnvironment } from './environment.ts'
import { formatCheckRequest, HealthCheck, type CheckResult } from './health-check.ts'

/** The last check, as it is shown. */
export interface LastCheck {
  readonly isGood: boolean
  readonly reason: string
  /** Status of the answer, 0 without one. */
  readonly status: number
  readonly ms: number
  /** Milliseconds since the epoch. */
  readonly at: number
}

export class HealthMonitor implements DeadlineOwner {
  readonly #address: Address
  readonly #environment: UpstreamEnvironment
  readonly #onAnswer: (result: CheckResult) => void
  readonly #deadline: Deadline = new Deadline(this)
  #options: HealthOptions
  #request: string
  #check: HealthCheck | undefined
  #standing: 'unknown' | 'up' | 'down' = 'unknown'
  /** Answers in a row that speak against the standing. */
  #against = 0
  lastCheck: LastCheck | undefined

  /** The first check begins with the next tick. `onAnswer` is told of every answer, when it has counted. Throws ProxyError ERR_EPROXY_OPTION. */
  constructor(address: Address, options: HealthOptions, environment: UpstreamEnvironment, onAnswer: (result: CheckResult) => void) {
    this.#address = address
    this.#environment = environment
    this.#onAnswer = onAnswer
    this.#options = options
    this.#request = formatCheckRequest(options, hostOf(address))
    environment.wheel.arm(this.#deadline, 'healthInterval', 0)
  }

  get isDown(): boolean {
    return this.#standing === 'down'
  }

  /** The standing stays; the next check is as the new options say. */
  update(options: HealthOptions): void {
    if (options.intervalMs < this.#options.intervalMs) this.#environment.wheel.arm(this.#deadline, 'healthInterval', this.#pauseMs(options))
    this.#request = formatCheckRequest(options, hostOf(this.#address))
    this.#options = options
  }

  /** Nothing of it stays behind. */
  stop(): void {
    this.#check?.cancel()
    this.#check = undefined
    this.#environment.wheel.remove(this.#deadline)
  }

  onDeadline(): void {
    // Intervals are from begin to begin; a check that takes longer than one is waited for.
    this.#environment.wheel.arm(this.#deadline, 'healthInterval', this.#pauseMs(this.#options))
    if (this.#check !== undefined) return
    this.#check = new HealthCheck(this.#address, this.#options, this.#request, this.#environment, (result) => this.#onResult(result))
  }

  /** ± 10 %: the checks of many workers and proxies do not come together. */
  #pauseMs({ intervalMs }: HealthOptions): number {
    return intervalMs * (0.9 + 0.2 * this.#environment.random())
  }

  #onResult(result: CheckResult): void {
    this.#check = undefined
    this.lastCheck = { ...result, at: this.#environment.wheel.clock.wallNow() }
    this.#judge(result.isGood)
    this.#onAnswer(result)
  }

  #judge(isGood: boolean): void {
    if (this.#standing === (isGood ? 'up' : 'down')) {
      this.#against = 0
      return
    }
    this.#against++
    const enough = this.#standing === 'unknown' ? 1 : isGood ? this.#options.rise : this.#options.fall
    if (this.#against < enough) return
    this.#against = 0
    this.#standing = isGood ? 'up' : 'down'
  }
}

/** A path is no host. */
function hostOf(address: Address): string {
  return address.kind === 'unix' ? 'localhost' : formatAddress(address)
}
