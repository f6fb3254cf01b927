/**
 * Runs cases against a proxy: plays each one, looks for damage to other people's requests, has the evidence judged, and
 * repeats what failed before it is believed. Cases run side by side and share the upstream connections of the proxy on purpose,
 * as a poisoned connection shows up as a wrong answer to somebody else; the price is that a failure may be a neighbour's doing,
 * so only a failure that repeats is reported.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { markerPattern, toList, withMarker, type ConformanceCase, type Expectation } from './case-format.ts'
import { ClientExchange, type Endpoint } from './client.ts'
import { judge, type Fault, type Observation } from './judge.ts'
import type { OriginConnection, PlayedScript, RecordingOrigin, UpstreamRecord } from './origin.ts'
import { quote, readResponses } from './strict-parser.ts'

export interface CaseResult {
  id: string
  group: string
  section: string
  title: string
  passed: boolean
  /** Handled safely: only the status of the refusal, or the close after it, is another one. */
  isMild: boolean
  faults: string[]
  statuses: number[]
  isClosed: boolean
  /** Whole bytes of both ends; the report cuts them. */
  received: string
  upstream: string[]
  marker: string
  elapsedMs: number
}

/** A result with what the retry rules need to know. */
interface Attempt extends CaseResult {
  startedAt: number
  endedAt: number
  /** A plain request on a new connection was harmed afterwards. */
  isPoisoned: boolean
  /** The proxy gave no answer at all to that request. */
  isProxyDown: boolean
  /** Bytes of another case, or planted bytes, came back. */
  hasForeignBytes: boolean
  wasRun: boolean
}

export interface RunnerOptions {
  proxy: Endpoint
  origin: RecordingOrigin
  originPort: number
  concurrency: number
  timeoutMs: number
  /** Wall-clock bound of a whole run: a proxy that hangs must not hang the suite. */
  runMsMax: number
}

const settleMs = 25
const settleAfterRefusalMs = 250
/** A refusal is followed by a close, and a proxy may linger before that. */
const settleBeforeCloseMs = 350
const upstreamCloseMsMax = 700
const cutOffMsMax = 1000
const pollMs = 10
const retryConcurrency = 6
const loneRetryMax = 30
/** As many damaged checks in a row without any answer mean that the proxy is gone, not that it is wrong. */
const downCountMax = 24
const plantedBytes = /EVILRESP|EXTRA/
const crossTalk = /POISONED|next request|used again/

export class ConformanceRunner {
  readonly #options: RunnerOptions
  #markerCount = Math.floor(Math.random() * 36 ** 4) * 36 ** 2
  #downCount = 0
  #deadlineAt = Infinity

  constructor(options: RunnerOptions) {
    this.#options = options
  }

  /** Resolves when the proxy answers a plain request; gives the fault of the last try otherwise. */
  async waitUntilServing(triesMax: number): Promise<string | null> {
    let fault: string | null = null
    for (let tries = 0; tries < triesMax; tries += 1) {
      fault = await this.#checkForPoison().then((check) => check?.text ?? null)
      if (fault === null) return null
      await delay(200)
    }
    return fault
  }

  async runAll(cases: readonly ConformanceCase[]): Promise<CaseResult[]> {
    this.#deadlineAt = performance.now() + this.#options.runMsMax
    const results: Attempt[] = []
    const runAt = async (index: number): Promise<void> => {
      const one = cases[index]
      if (!one) return
      const attempt = await this.#attempt(one)
      // A repetition that could not be made leaves the first result standing.
      if (attempt.wasRun || results[index] === undefined) results[index] = attempt
    }
    await inParallel([...cases.keys()], this.#options.concurrency, runAt)
    if (this.#options.concurrency > 1) {
      const suspects = suspectsOf(results)
      await inParallel(suspects, retryConcurrency, runAt)
      const isCrossTalk = (index: number): boolean => {
        const result = results[index]
        return result !== undefined && !result.passed && (result.hasForeignBytes || result.faults.some((fault) => crossTalk.test(fault)))
      }
      await inParallel(suspects.filter(isCrossTalk).slice(0, loneRetryMax), 1, runAt)
    }
    return results
  }

  async #attempt(one: ConformanceCase): Promise<Attempt> {
    if (this.#downCount >= downCountMax) return notRun(one, 'not run: the proxy stopped answering')
    if (performance.now() > this.#deadlineAt) return notRun(one, 'not run: out of time')
    const attempt = await this.#runCase(one)
    this.#downCount = attempt.isProxyDown ? this.#downCount + 1 : 0
    return attempt
  }

  async #runCase(one: ConformanceCase): Promise<Attempt> {
    const { origin } = this.#options
    const startedAt = performance.now()
    const marker = this.#newMarker()
    const expect = withMarker(one.expect, marker)
    const played = one.origin && origin.play(marker, withMarker(one.origin, marker))
    const answersToHead = one.answersToHead ?? []
    const exchange = new ClientExchange(this.#options.proxy, {
      send: withMarker(one.send, marker),
      fragmentBytes: one.fragmentBytes,
      answersToHead,
      responsesDue: responsesDueOf(expect),
      awaitsClose: demandsClose(expect),
      timeoutMs: one.timeoutMs ?? this.#options.timeoutMs,
      settleMs: one.settleMs ?? settleMs,
      refusalSettleMs: demandsClose(expect) ? settleBeforeCloseMs : settleAfterRefusalMs,
    })
    const settledBy = await exchange.settled()
    const seen = { received: exchange.received, isEnded: exchange.isEnded, isReset: exchange.errorCode !== null, settledBy }
    const followUpFault = await this.#followUp(one, expect, exchange)
    const responses = readResponses(seen.received, answersToHead, seen.isEnded)
    exchange.destroy()
    // A response case leaves two connections that could be wrong: the client's own and the one to the origin.
    const poison = (await this.#checkForPoison()) ?? (one.direction === 'response' ? await this.#checkForPoison() : null)
    const record = await this.#recordOf(marker)
    if (played && mustCloseUpstream(expect)) await this.#waitForUpstreamClose(played)
    const faults = judge(expect, {
      ...seen,
      direction: one.direction,
      responses,
      followUpFault,
      messages: record.messages,
      unfinished: record.unfinished.map(({ bytes, connection }) => ({ bytes, isOpen: !connection.isClosedByProxy })),
      scripted: fateOf(played, marker),
      originCloses: played?.script.close === true,
      originAuthorities: [`127.0.0.1:${this.#options.originPort}`, `localhost:${this.#options.originPort}`],
    } satisfies Observation)
    if (poison) faults.push({ text: `POISONED ${poison.text}`, isMild: false })
    if (faults.length > 0) played?.connection?.destroy()
    for (const { connection } of record.unfinished) connection.destroy()
    return {
      ...resultOf(one, faults),
      statuses: [...responses.interims, ...responses.finals].map(({ status }) => status),
      isClosed: seen.isEnded,
      received: seen.received,
      upstream: [...record.messages.map(({ bytes }) => bytes), ...record.unfinished.map(({ bytes }) => bytes)],
      marker,
      elapsedMs: Math.round(performance.now() - startedAt),
      startedAt,
      endedAt: performance.now(),
      isPoisoned: poison !== null,
      isProxyDown: poison?.isSilent ?? false,
      hasForeignBytes: hasForeignBytes(seen.received, marker, one),
      wasRun: true,
    }
  }

  /** A plain request on the connection of the case, when the proxy left it open behind complete answers. */
  async #followUp(one: ConformanceCase, expect: Expectation, exchange: ClientExchange): Promise<string | null> {
    if (exchange.isEnded || one.followUp === false || demandsClose(expect) || !permitsForwarding(expect)) return null
    const before = readResponses(exchange.received, one.answersToHead ?? [], false)
    const isSound =
      before.fault === null && before.finals.length === responsesDueOf(expect) && before.finals.every(({ complete }) => complete)
    if (!isSound || before.finals[0]?.status === 101) return null
    const marker = this.#newMarker()
    const sizeBefore = exchange.received.length
    exchange.write(plainRequest(marker))
    const answer = (): string => exchange.received.slice(sizeBefore)
    await waitUntil(cutOffMsMax, () => {
      const { finals, fault } = readResponses(answer(), [], exchange.isEnded)
      return exchange.isEnded || fault !== null || finals[0]?.complete === true
    })
    // Closing an idle connection is always allowed.
    if (exchange.isEnded && answer() === '') return null
    const fault = faultOfPlainAnswer(answer(), exchange.isEnded, marker)
    return fault === null ? null : `next request on the same connection: ${fault}`
  }

  /** A plain request on a new connection must get its own answer and reach the origin unaltered. */
  async #checkForPoison(): Promise<{ text: string; isSilent: boolean } | null> {
    const marker = this.#newMarker()
    const exchange = this.#openPlain(marker)
    const settledBy = await exchange.settled()
    exchange.destroy()
    const isRefused = exchange.errorCode === 'ECONNREFUSED' || exchange.errorCode === 'ECONNRESET'
    if (isRefused && exchange.received === '') {
      const isBack = await this.#waitForReturn()
      return { text: `the proxy went down (${exchange.errorCode}) ${isBack ? 'and came back' : 'and gives no answer'}`, isSilent: !isBack }
    }
    const where = 'next request on a new connection'
    const fault = faultOfPlainAnswer(exchange.received, exchange.isEnded, marker)
    if (fault !== null) return { text: `${where}: ${fault} (${settledBy})`, isSilent: exchange.received === '' }
    const { messages } = this.#options.origin.recordOf(marker)
    const [message] = messages
    if (message === undefined || messages.length > 1)
      return { text: `${where}: reached the origin ${messages.length} times`, isSilent: false }
    const isUnaltered = message.fault === null && message.request?.method === 'GET' && message.request.target === `/check/${marker}`
    return isUnaltered ? null : { text: `${where}: was altered ${message.fault ?? ''}: ${quote(message.bytes)}`, isSilent: false }
  }

  #openPlain(marker: string): ClientExchange {
    return new ClientExchange(this.#options.proxy, {
      send: plainRequest(marker),
      answersToHead: [],
      responsesDue: 1,
      awaitsClose: false,
      timeoutMs: this.#options.timeoutMs,
      settleMs: 4,
      refusalSettleMs: 60,
    })
  }

  /** A supervised proxy restarts; the case that comes next is not to be blamed for the crash. */
  async #waitForReturn(): Promise<boolean> {
    for (let tries = 0; tries < 40; tries += 1) {
      await delay(75)
      const exchange = this.#openPlain(this.#newMarker())
      await exchange.settled()
      exchange.destroy()
      if (exchange.received !== '') return true
    }
    return false
  }

  /** What reached the origin, after a cut-off message had the time to be seen as cut off. */
  async #recordOf(marker: string): Promise<UpstreamRecord> {
    const { origin } = this.#options
    await waitUntil(cutOffMsMax, () => origin.recordOf(marker).unfinished.every(({ connection }) => connection.isClosedByProxy))
    return origin.recordOf(marker)
  }

  async #waitForUpstreamClose(played: PlayedScript): Promise<void> {
    const { connection, script } = played
    if (connection === null || script.close) return
    await waitUntil(upstreamCloseMsMax, () => connection.isClosedByProxy)
  }

  #newMarker(): string {
    this.#markerCount = (this.#markerCount + 1) % 36 ** 6
    return `qx${this.#markerCount.toString(36).padStart(6, '0')}`
  }
}

/** Failures, and everything that ran while a connection was poisoned: the damage may have hit a bystander, or hidden in one. */
function suspectsOf(results: readonly Attempt[]): number[] {
  const poisoned = results.filter((result) => result.isPoisoned)
  const overlaps = (one: Attempt): boolean => poisoned.some((other) => one.startedAt < other.endedAt && one.endedAt > other.startedAt)
  return [...results.keys()].filter((index) => {
    const result = results[index]
    return result !== undefined && result.wasRun && (!result.passed || overlaps(result))
  })
}

function resultOf(
  one: ConformanceCase,
  faults: readonly Fault[],
): Pick<Attempt, 'id' | 'group' | 'section' | 'title' | 'passed' | 'isMild' | 'faults'> {
  return {
    id: one.id,
    group: one.group,
    section: one.section,
    title: one.title,
    passed: faults.length === 0,
    isMild: faults.length > 0 && faults.every((fault) => fault.isMild),
    faults: faults.map((fault) => fault.text),
  }
}

function notRun(one: ConformanceCase, why: string): Attempt {
  return {
    ...resultOf(one, [{ text: why, isMild: false }]),
    statuses: [],
    isClosed: false,
    received: '',
    upstream: [],
    marker: '',
    elapsedMs: 0,
    startedAt: 0,
    endedAt: 0,
    isPoisoned: false,
    isProxyDown: false,
    hasForeignBytes: false,
    wasRun: false,
  }
}

function fateOf(played: PlayedScript | undefined, marker: string): Observation['scripted'] {
  const connection: OriginConnection | null = played?.connection ?? null
  if (connection === null) return 'unused'
  const index = connection.messages.findIndex((message) => message.markers.has(marker))
  if (index >= 0 && index < connection.messages.length - 1) return 'reused'
  return connection.isClosedByProxy ? 'closed' : 'open'
}

function hasForeignBytes(received: string, marker: string, one: ConformanceCase): boolean {
  const hasForeignMarker = (received.match(markerPattern) ?? []).some((found) => found !== marker)
  return hasForeignMarker || (plantedBytes.test(received) && !plantedBytes.test(JSON.stringify([one.send, one.origin])))
}

function plainRequest(marker: string): string {
  return `GET /check/${marker} HTTP/1.1\r\nHost: check.test\r\nX-M: ${marker}\r\n\r\n`
}

function faultOfPlainAnswer(received: string, isEnded: boolean, marker: string): string | null {
  const { finals, fault } = readResponses(received, [], isEnded)
  const [response] = finals
  if (fault !== null) return fault
  if (response === undefined) return 'no response'
  if (response.status !== 200) return `status ${response.status}`
  if (response.body !== `ok ${marker}`) return `body ${quote(response.body)}`
  return finals.length > 1 ? 'two responses to one request' : null
}

function responsesDueOf(expect: Expectation): number {
  if (expect.outcome === 'any-of') return Math.max(...expect.of.map(responsesDueOf))
  if (expect.outcome !== 'forward') return 1
  return expect.downstream?.responses?.length ?? (expect.upstream ? Math.max(1, toList(expect.upstream).length) : 1)
}

function demandsClose(expect: Expectation): boolean {
  if (expect.outcome === 'any-of') return expect.of.every(demandsClose)
  if (expect.outcome === 'refuse') return !expect.mayStayOpen
  return expect.outcome === 'abort' || expect.downstream?.close === true
}

function permitsForwarding(expect: Expectation): boolean {
  return expect.outcome === 'forward' || (expect.outcome === 'any-of' && expect.of.some(permitsForwarding))
}

function mustCloseUpstream(expect: Expectation): boolean {
  if (expect.outcome === 'any-of') return expect.of.some(mustCloseUpstream)
  return expect.outcome !== 'forward' || expect.upstreamClosed === true
}

async function waitUntil(msMax: number, isDone: () => boolean): Promise<void> {
  const startedAt = performance.now()
  while (!isDone() && performance.now() - startedAt < msMax) await delay(pollMs)
}

async function inParallel(indexes: readonly number[], concurrency: number, run: (index: number) => Promise<void>): Promise<void> {
  const left = indexes.values()
  const work = async (): Promise<void> => {
    for (const index of left) await run(index)
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, indexes.length) }, work))
}
