/**
 * Runs the request half of the suite against an origin server, from the client's side alone. Beside the verdict of a case, a plain
 * request on a new connection must afterwards get what it got before the run: a server that a message confuses shows it to others.
 */
import { withMarker, type ConformanceCase } from './case-format.ts'
import { ClientExchange, formatEndpoint, type Endpoint } from './client.ts'
import type { Fault } from './judge.ts'
import { MarkerSource } from './marker-source.ts'
import { inParallel, resultOf, type CaseResult, type LeftOut, type Progress } from './result.ts'
import { plainRequest } from './runner.ts'
import { refusalStatuses, toServerOutcomes, type ServerOutcome } from './server-case.ts'
import { judgeServer } from './server-judge.ts'
import { readResponses } from './strict-parser.ts'

export interface ServerRunnerOptions {
  readonly server: Endpoint
  readonly concurrency: number
  readonly timeoutMs: number
  readonly runMsMax: number
  readonly onProgress?: (progress: Progress) => void
}

const settleMs = 40
const settleAfterRefusalMs = 250
const shareBeforeClose = 0.3
const plainSettleMs = 10
const repetitionConcurrency = 2

export interface ServerCase {
  readonly one: ConformanceCase
  readonly outcomes: readonly ServerOutcome[]
}

/** The cases that say something about a server, and the others with the reasons why not. */
export function forServers(cases: readonly ConformanceCase[]): { judged: ServerCase[]; leftOut: LeftOut[] } {
  const judged: ServerCase[] = []
  const leftOut: LeftOut[] = []
  for (const one of cases) {
    const outcomes = toServerOutcomes(one)
    if (typeof outcomes === 'string') leftOut.push({ id: one.id, group: one.group, why: outcomes })
    else judged.push({ one, outcomes })
  }
  return { judged, leftOut }
}

export class ServerRunner {
  readonly #options: ServerRunnerOptions
  readonly #markers = new MarkerSource()
  #plainStatus = 0
  #deadlineAt = Infinity

  constructor(options: ServerRunnerOptions) {
    this.#options = options
  }

  /** Resolves with the status of a plain GET. Throws when there is none, or when it cannot be told from a refusal. */
  async learn(): Promise<number> {
    const { finals, fault, errorCode } = await this.#ask()
    const where = formatEndpoint(this.#options.server)
    const status = finals[0]?.status
    if (errorCode !== null && status === undefined) throw new Error(`cannot talk to ${where}: ${errorCode}`)
    if (fault !== null || status === undefined) throw new Error(`${where} does not answer a plain request: ${fault ?? 'no response'}`)
    if (refusalStatuses.has(status)) throw new Error(`${where} answers a plain GET with ${status}, so that refusals cannot be told apart`)
    return (this.#plainStatus = status)
  }

  async runAll(cases: readonly ServerCase[]): Promise<CaseResult[]> {
    this.#deadlineAt = performance.now() + this.#options.runMsMax
    const results: CaseResult[] = []
    const round = async (indexes: readonly number[], concurrency: number, isRepetition: boolean): Promise<void> => {
      let done = 0
      await inParallel(indexes, concurrency, async (index) => {
        const next = cases[index]
        if (next === undefined) return
        results[index] = await this.#run(next)
        done += 1
        const failed = results.filter((result) => result !== undefined && !result.passed).length
        this.#options.onProgress?.({ done, total: indexes.length, failed, id: next.one.id, isRepetition })
      })
    }
    await round([...cases.keys()], this.#options.concurrency, false)
    const failed = [...results.keys()].filter((index) => results[index]?.passed === false)
    await round(failed, repetitionConcurrency, true)
    return results
  }

  async #run({ one, outcomes }: ServerCase): Promise<CaseResult> {
    const startedAt = performance.now()
    const marker = this.#markers.next()
    const answersToHead = one.answersToHead ?? []
    const isOutOfTime = startedAt > this.#deadlineAt
    const awaitsClose = outcomes.every((outcome) => (outcome.kind === 'refuse' ? !outcome.mayStayOpen : outcome.close === true))
    const exchange = new ClientExchange(this.#options.server, {
      send: isOutOfTime ? [] : withMarker(one.send, marker),
      fragmentBytes: one.fragmentBytes,
      answersToHead,
      responsesDue: Math.max(...outcomes.map((outcome) => (outcome.kind === 'accept' ? outcome.responses.length : 1))),
      awaitsClose,
      timeoutMs: isOutOfTime ? 0 : (one.timeoutMs ?? this.#options.timeoutMs),
      settleMs: one.settleMs ?? settleMs,
      refusalSettleMs: awaitsClose ? this.#options.timeoutMs * shareBeforeClose : settleAfterRefusalMs,
    })
    const settledBy = await exchange.settled()
    const { received, isEnded } = exchange
    exchange.destroy()
    const responses = readResponses(received, answersToHead, isEnded)
    const faults: Fault[] = isOutOfTime
      ? [{ text: 'not run: out of time', isMild: false }]
      : judgeServer(outcomes, { responses, isEnded, settledBy })
    if (!isOutOfTime) faults.push(...(await this.#askAgain()))
    return {
      ...resultOf(one, faults),
      isClosed: isEnded,
      received,
      upstream: null,
      marker,
      elapsedMs: Math.round(performance.now() - startedAt),
    }
  }

  async #askAgain(): Promise<Fault[]> {
    const { finals, fault } = await this.#ask()
    const seen = fault ?? (finals.length === 1 ? `status ${finals[0]?.status}` : `${finals.length} responses`)
    return seen === `status ${this.#plainStatus}` ? [] : [{ text: `POISONED a plain request afterwards got: ${seen}`, isMild: false }]
  }

  async #ask(): Promise<ReturnType<typeof readResponses> & { errorCode: string | null }> {
    const exchange = new ClientExchange(this.#options.server, {
      send: plainRequest(this.#markers.next()),
      answersToHead: [],
      responsesDue: 1,
      awaitsClose: false,
      timeoutMs: this.#options.timeoutMs,
      settleMs: plainSettleMs,
      refusalSettleMs: plainSettleMs,
    })
    await exchange.settled()
    exchange.destroy()
    return { ...readResponses(exchange.received, [], exchange.isEnded), errorCode: exchange.errorCode }
  }
}
