/**
 * Runs cases against a proxy, from both of its sides: plays each one, looks for damage to other people's requests, has the evidence judged, and
 * repeats what failed before it is believed. Cases run side by side and share the upstream connections of the proxy on purpose,
 * as a poisoned connection shows up as a wrong answer to somebody else; the price is that a failure may be a neighbour's doing,
 * so only a failure that repeats is reported.
 */
import { setTimeout as delay } from 'node:timers/promises'
import {
  clientPlaceholder,
  markerPattern,
  markerPlaceholder,
  toList,
  viaPlaceholder,
  withReplaced,
  type ConformanceCase,
  type Expectation,
  type Need,
} from './case-format.ts'
import { ClientExchange, formatEndpoint, type Endpoint } from './client.ts'
import { judge, type Observation } from './judge.ts'
import { MarkerSource } from './marker-source.ts'
import type { OriginConnection, PlayedScript, RecordingOrigin, UpstreamRecord } from './recording-origin.ts'
import { inParallel, resultOf, type CaseResult, type Progress } from './result.ts'
import { quote, readResponses, valuesOf } from './strict-parser.ts'

/** What a proxy does by itself, seen in a plain request that it forwarded. */
export interface ProxyTraits {
  /** Its name in Via. */
  readonly via: string | undefined
  /** The client's address, as it wrote it into X-Forwarded-For. */
  readonly clientAddress: string | undefined
}

/** A result with what the retry rules need to know. */
interface Attempt {
  result: CaseResult
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
  onProgress?: (progress: Progress) => void
}

export function lacks(traits: ProxyTraits, need: Need): boolean {
  return (need === 'via' ? traits.via : traits.clientAddress) === undefined
}

const settleMs = 25
const settleAfterRefusalMs = 250
/** Of the patience for an exchange: a refusal is followed by a close, and a proxy may linger before that. */
const shareBeforeClose = 0.3
const pollMs = 10
const learnTriesMax = 4
const retryConcurrency = 6
const loneRetryMax = 30
const fewFailures = 8
/** As many damaged checks in a row without any answer mean that the proxy is gone, not that it is wrong. */
const downCountMax = 24
const plantedBytes = /EVILRESP|EXTRA/
const crossTalk = /POISONED|next request|used again/

export class ConformanceRunner {
  readonly #options: RunnerOptions
  readonly #markers = new MarkerSource()
  #traits: ProxyTraits = { via: undefined, clientAddress: undefined }
  #downCount = 0
  #deadlineAt = Infinity

  constructor(options: RunnerOptions) {
    this.#options = options
  }

  /** Resolves with what the proxy does to a plain request. Throws when it does not serve one. */
  async learn(): Promise<ProxyTraits> {
    const where = formatEndpoint(this.#options.proxy)
    const knock = this.#openPlain(this.#markers.next())
    await knock.settled()
    knock.destroy()
    if (knock.errorCode !== null && knock.received === '') throw new Error(`cannot talk to ${where}: ${knock.errorCode}`)
    let fault: string | undefined
    for (let tries = 0; tries < learnTriesMax; tries += 1) {
      const check = await this.#checkForPoison()
      if (check === null) return (this.#traits = await this.#learnTraits())
      fault = check.text.replace('next request on a new connection: ', '')
      await delay(200)
    }
    throw new Error(`${where} does not forward a plain request to port ${this.#options.originPort}: ${fault}`)
  }

  async #learnTraits(): Promise<ProxyTraits> {
    const marker = this.#markers.next()
    const exchange = this.#openPlain(marker)
    await exchange.settled()
    exchange.destroy()
    const fields = this.#options.origin.recordOf(marker).messages[0]?.request?.fields ?? []
    return {
      // received-protocol RWS received-by
      via: valuesOf(fields, 'via')
        .at(-1)
        ?.split(',')
        .at(-1)
        ?.trim()
        .split(/[ \t]+/)[1],
      clientAddress: valuesOf(fields, 'x-forwarded-for')[0],
    }
  }

  async runAll(cases: readonly ConformanceCase[]): Promise<CaseResult[]> {
    this.#deadlineAt = performance.now() + this.#options.runMsMax
    const attempts: Attempt[] = []
    const round = async (indexes: readonly number[], concurrency: number, isRepetition: boolean): Promise<void> => {
      let done = 0
      await inParallel(indexes, concurrency, async (index) => {
        const one = cases[index]
        if (!one) return
        const attempt = await this.#attempt(one)
        // A repetition that could not be made leaves the first result standing.
        if (attempt.wasRun || attempts[index] === undefined) attempts[index] = attempt
        done += 1
        const failed = attempts.filter((other) => other !== undefined && !other.result.passed).length
        this.#options.onProgress?.({ done, total: indexes.length, failed, id: one.id, isRepetition })
      })
    }
    await round([...cases.keys()], this.#options.concurrency, false)
    if (this.#options.concurrency > 1) {
      const suspects = suspectsOf(attempts)
      await round(suspects, retryConcurrency, true)
      const failing = suspects.filter((index) => attempts[index]?.result.passed === false)
      const isCrossTalk = (index: number): boolean => {
        const attempt = attempts[index]
        return attempt !== undefined && (attempt.hasForeignBytes || attempt.result.faults.some((fault) => crossTalk.test(fault)))
      }
      // A few may be the doing of a busy machine, and are worth the time.
      const lone = failing.length <= fewFailures ? failing : failing.filter(isCrossTalk).slice(0, loneRetryMax)
      await round(lone, 1, true)
    }
    return attempts.map(({ result }) => result)
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
    const marker = this.#markers.next()
    const fill = <T>(value: T): T => withReplaced(value, this.#replacements(marker))
    const expect = fill(one.expect)
    const played = one.origin && origin.play(marker, fill(one.origin))
    const answersToHead = one.answersToHead ?? []
    const exchange = new ClientExchange(this.#options.proxy, {
      send: fill(one.send),
      fragmentBytes: one.fragmentBytes,
      answersToHead,
      responsesDue: responsesDueOf(expect),
      awaitsClose: demandsClose(expect),
      timeoutMs: one.timeoutMs ?? this.#options.timeoutMs,
      settleMs: one.settleMs ?? settleMs,
      refusalSettleMs: demandsClose(expect) ? this.#options.timeoutMs * shareBeforeClose : settleAfterRefusalMs,
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
      result: {
        ...resultOf(one, faults),
        isClosed: seen.isEnded,
        received: seen.received,
        upstream: [...record.messages.map(({ bytes }) => bytes), ...record.unfinished.map(({ bytes }) => bytes)],
        marker,
        elapsedMs: Math.round(performance.now() - startedAt),
      },
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
    const marker = this.#markers.next()
    const sizeBefore = exchange.received.length
    exchange.write(plainRequest(marker))
    const answer = (): string => exchange.received.slice(sizeBefore)
    await waitUntil(this.#options.timeoutMs, () => {
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
    const marker = this.#markers.next()
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
      const exchange = this.#openPlain(this.#markers.next())
      await exchange.settled()
      exchange.destroy()
      if (exchange.received !== '') return true
    }
    return false
  }

  /** What reached the origin, after a cut-off message had the time to be seen as cut off. */
  async #recordOf(marker: string): Promise<UpstreamRecord> {
    const { origin } = this.#options
    await waitUntil(this.#options.timeoutMs, () => origin.recordOf(marker).unfinished.every(({ connection }) => connection.isClosedByProxy))
    return origin.recordOf(marker)
  }

  async #waitForUpstreamClose(played: PlayedScript): Promise<void> {
    const { connection, script } = played
    if (connection === null || script.close) return
    await waitUntil(this.#options.timeoutMs, () => connection.isClosedByProxy)
  }

  #replacements(marker: string): Record<string, string> {
    const { via = '', clientAddress = '127.0.0.1' } = this.#traits
    return {
      [markerPlaceholder]: marker,
      [viaPlaceholder]: via,
      // It stands in regular expressions.
      [clientPlaceholder]: clientAddress.replace(/[^0-9A-Za-z:]/g, '\\$&'),
    }
  }
}

/** Failures, and everything that ran while a connection was poisoned: the damage may have hit a bystander, or hidden in one. */
function suspectsOf(attempts: readonly Attempt[]): number[] {
  const poisoned = attempts.filter((attempt) => attempt.isPoisoned)
  const overlaps = (one: Attempt): boolean => poisoned.some((other) => one.startedAt < other.endedAt && one.endedAt > other.startedAt)
  return [...attempts.keys()].filter((index) => {
    const attempt = attempts[index]
    return attempt !== undefined && attempt.wasRun && (!attempt.result.passed || overlaps(attempt))
  })
}

function notRun(one: ConformanceCase, why: string): Attempt {
  return {
    result: { ...resultOf(one, [{ text: why, isMild: false }]), isClosed: false, received: '', upstream: [], marker: '', elapsedMs: 0 },
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

export function plainRequest(marker: string): string {
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
