/**
 * An open loop: requests are due at a fixed rate, and each goes out on a connection that is free, or waits for one. Its latency counts from
 * when it was due, so a proxy that stops for a moment pays for all that it kept waiting (no coordinated omission).
 */
import { createHistogram } from 'node:perf_hooks'
import { Client, type ClientUser } from './client.ts'
import { keepPace, nowMicros } from './pace.ts'
import type { RatePlan, RateResult } from './plan.ts'

/** For answers that are on their way when the last request is out. */
const patienceMicros = 3_000_000

export async function runRate(plan: RatePlan): Promise<RateResult> {
  return new RateLoad(plan).run()
}

class RateLoad implements ClientUser {
  readonly #plan: RatePlan
  readonly #request: Buffer
  readonly #free: Client[] = []
  /** Due times of requests for which no connection was free, oldest first, from `#waitingAt` on. */
  readonly #waiting: number[] = []
  #waitingAt = 0
  readonly #latencies = createHistogram()
  readonly #lateness = createHistogram()
  #errors = 0
  #answers = 0
  #onWay = 0
  #isEnding = false
  /** When recording begins. */
  #recordFrom = 0
  #lastAnswer = 0

  constructor(plan: RatePlan) {
    this.#plan = plan
    this.#request = Buffer.from(plan.request, 'latin1')
  }

  async run(): Promise<RateResult> {
    const { port, connections, answerEnd, requestsPerSecond, warmupSeconds, seconds } = this.#plan
    const end = Buffer.from(answerEnd, 'latin1')
    const clients: Client[] = []
    for (let index = 0; index < connections; index += 1) {
      clients.push(
        await new Promise<Client>((resolve, reject) => {
          const client = new Client(port, end, this, resolve)
          setTimeout(() => reject(new Error('the proxy takes no connections')), 5_000).unref()
          this.#free.push(client)
        }),
      )
    }
    const interval = 1_000_000 / requestsPerSecond
    const startedAt = nowMicros() + 1_000
    this.#recordFrom = startedAt + warmupSeconds * 1_000_000
    const total = Math.floor((warmupSeconds + seconds) * requestsPerSecond)
    let sent = 0
    await keepPace((now) => {
      let due = startedAt + sent * interval
      while (sent < total && due <= now) {
        if (due >= this.#recordFrom) this.#lateness.record(Math.max(1, Math.round(now - due)))
        this.#take(due)
        sent += 1
        due = startedAt + sent * interval
      }
      if (sent < total) return due
      const isDone = this.#onWay === 0 && this.#waitingAt === this.#waiting.length
      return isDone || now > startedAt + total * interval + patienceMicros ? null : now + 1_000
    })
    this.#isEnding = true
    for (const client of clients) client.destroy()
    // What never came back has waited at least until now.
    const unanswered = this.#waiting.length - this.#waitingAt + this.#onWay
    const now = nowMicros()
    for (const client of clients) if (client.dueMicros > 0) this.#record(client.dueMicros, now)
    for (let index = this.#waitingAt; index < this.#waiting.length; index += 1) this.#record(this.#waiting[index]!, now)
    const latencies = this.#latencies
    return {
      requests: this.#answers,
      requestsPerSecond: (this.#answers * 1_000_000) / Math.max(1, this.#lastAnswer - this.#recordFrom),
      p50Micros: latencies.percentile(50),
      p99Micros: latencies.percentile(99),
      p999Micros: latencies.percentile(99.9),
      maxMicros: latencies.max,
      lateP99Micros: this.#lateness.percentile(99),
      errors: this.#errors + unanswered,
    }
  }

  onAnswer(client: Client, isRight: boolean): void {
    if (client.dueMicros === 0) {
      this.#errors += 1
      return
    }
    const now = nowMicros()
    this.#onWay -= 1
    if (!isRight) this.#errors += 1
    if (client.dueMicros >= this.#recordFrom) {
      this.#record(client.dueMicros, now)
      this.#answers += 1
      this.#lastAnswer = now
    }
    client.dueMicros = 0
    if (this.#waitingAt < this.#waiting.length) {
      const due = this.#waiting[this.#waitingAt]!
      this.#waitingAt += 1
      this.#send(client, due)
    } else {
      this.#free.push(client)
    }
  }

  onEnd(client: Client): void {
    if (this.#isEnding) return
    this.#errors += 1
    if (client.dueMicros > 0) this.#onWay -= 1
    client.dueMicros = 0
    const index = this.#free.indexOf(client)
    if (index >= 0) this.#free.splice(index, 1)
  }

  #take(due: number): void {
    const client = this.#free.pop()
    if (client === undefined) this.#waiting.push(due)
    else this.#send(client, due)
  }

  #send(client: Client, due: number): void {
    client.dueMicros = due
    this.#onWay += 1
    client.send(this.#request)
  }

  #record(due: number, now: number): void {
    this.#latencies.record(Math.max(1, Math.round(now - due)))
  }
}
