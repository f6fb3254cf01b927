/**
 * The case format of the conformance suite: what a file under cases/ may contain, how it is loaded and checked, and how
 * the marker of one run is put in its place. It decides nothing about verdicts (judge.ts) and touches no socket. Every byte
 * string is latin-1: one character is one octet on the wire.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Stands in every case where the marker of the run goes; as long as a marker, so that lengths written in a case stay right. */
export const markerPlaceholder = 'CASEMARK'
export const markerPattern = /qx[0-9a-z]{6}/g
/** Stand for what the runner learned of the proxy: the pseudonym in its Via, and the client's address as it reports it. */
export const viaPlaceholder = 'PROXY-VIA'
export const clientPlaceholder = 'CLIENT-ADDRESS'

export type Direction = 'request' | 'response'

/** One step of a sender. A plain string is bytes. */
export type Segment =
  | string
  | { repeat: Bytes; times: number }
  | { pauseMs: number }
  /** Waits until the client has received the text, at most `maxMs`. */
  | { awaitText: string; maxMs: number }
  /** Sends FIN and keeps reading. */
  | { halfClose: true }
  /** Origin only: sends RST. */
  | { reset: true }
  /** Origin only: from here on every chunk received is sent back behind `echo:`. */
  | { tunnel: 'echo' }

export type Bytes = string | readonly (string | { repeat: Bytes; times: number })[]

export interface OriginScript {
  /** Without it the origin gives its ordinary answer. */
  answer?: string | readonly Segment[]
  /** Answer as soon as the head is complete, not after the whole message. */
  answerAt?: 'head'
  /** The origin closes the connection behind its answer. */
  close?: boolean
  /** Only the first request with the marker gets the scripted answer. */
  once?: boolean
  /** Do not send 100 (Continue) when it is asked for. */
  withhold100?: boolean
  fragmentBytes?: number
}

/** null: absent. A string: equal to it. */
export type FieldExpectation = null | string | { matches: string } | { absentOrMatches: string }

interface MessageExpectation {
  version?: string | readonly string[]
  framing?: string | readonly string[]
  body?: string
  bodyBytes?: number
  fields?: Readonly<Record<string, FieldExpectation>>
  trailersAbsent?: readonly string[]
}

export interface UpstreamExpectation extends MessageExpectation {
  method?: string
  target?: string | readonly string[]
  host?: string | readonly string[]
  bytesAbsent?: readonly string[]
}

export interface ResponseExpectation extends MessageExpectation {
  status?: number | readonly number[]
  fromOrigin?: boolean
}

export interface DownstreamExpectation extends ResponseExpectation {
  /** One entry for each final response, when there are several or when the defaults must not apply. */
  responses?: readonly ResponseExpectation[]
  responsesMin?: number
  interim?: readonly number[]
  interimAbsent?: readonly number[]
  close?: boolean
  bytesAbsent?: readonly string[]
}

export interface RefuseExpectation {
  outcome: 'refuse'
  status: readonly number[]
  /** What may have reached the origin: nothing at all, or the start of a message that is then cut off. */
  reach?: 'nothing' | 'prefix'
  mayStayOpen?: boolean
  silenceAllowed?: boolean
  bytesAbsent?: readonly string[]
}

export interface ForwardExpectation {
  outcome: 'forward'
  /** Exactly these messages arrive; null: not judged; left out: one message of any kind. */
  upstream?: UpstreamExpectation | readonly UpstreamExpectation[] | null
  downstream?: DownstreamExpectation
  upstreamClosed?: boolean
}

export interface AbortExpectation {
  outcome: 'abort'
  status: readonly number[]
  bytesAbsent?: readonly string[]
}

export interface AnyOfExpectation {
  outcome: 'any-of'
  of: readonly Expectation[]
}

export type Expectation = RefuseExpectation | ForwardExpectation | AbortExpectation | AnyOfExpectation

/** What a proxy must do by itself before a case can be judged: a proxy that writes no such field has nothing to get wrong. */
export const needs = ['via', 'x-forwarded-for'] as const
export type Need = (typeof needs)[number]

export interface ConformanceCase {
  id: string
  group: string
  direction: Direction
  section: string
  title: string
  send: string | readonly Segment[]
  fragmentBytes?: number
  /** Positions of the responses that answer a HEAD request, and so have no body. */
  answersToHead?: readonly number[]
  origin?: OriginScript
  settleMs?: number
  timeoutMs?: number
  /** false: no second request on the same connection afterwards. */
  followUp?: boolean
  needs?: Need
  /** The rule by which eproxy refuses it; other proxies may have other reasons. */
  rule?: string
  /** Of the cases of its rule it is the one to show: one for each rule. */
  example?: boolean
  /** A rule that the case almost breaks: eproxy forwards it. */
  nearMissOf?: string
  expect: Expectation
}

interface CaseFile {
  group: string
  direction: Direction
  cases: Omit<ConformanceCase, 'group' | 'direction'>[]
}

const plainGet = `GET /${markerPlaceholder} HTTP/1.1\r\nHost: ${markerPlaceholder}.test\r\n\r\n`

const caseKeys = new Set([
  'id',
  'section',
  'title',
  'send',
  'fragmentBytes',
  'answersToHead',
  'origin',
  'settleMs',
  'timeoutMs',
  'followUp',
  'needs',
  'rule',
  'example',
  'nearMissOf',
  'expect',
])
const expectKeys: Readonly<Record<Expectation['outcome'], readonly string[]>> = {
  refuse: ['outcome', 'status', 'reach', 'mayStayOpen', 'silenceAllowed', 'bytesAbsent'],
  forward: ['outcome', 'upstream', 'downstream', 'upstreamClosed'],
  abort: ['outcome', 'status', 'bytesAbsent'],
  'any-of': ['outcome', 'of'],
}
const messageKeys = ['version', 'framing', 'body', 'bodyBytes', 'fields', 'trailersAbsent']
const upstreamKeys = new Set([...messageKeys, 'method', 'target', 'host', 'bytesAbsent'])
const responseKeys = new Set([...messageKeys, 'status', 'fromOrigin'])
const downstreamKeys = new Set([...responseKeys, 'responses', 'responsesMin', 'interim', 'interimAbsent', 'close', 'bytesAbsent'])
const originKeys = new Set(['answer', 'answerAt', 'close', 'once', 'withhold100', 'fragmentBytes'])

/** The cases as they ship: from build/lib/conformance/ back to the sources, in the repository and in an installed package alike. */
export const casesFolder = fileURLToPath(new URL('../../../lib/conformance/cases/', import.meta.url))

/** All cases of a folder in the order of the file names. Throws on an unknown name: a misspelt expectation would pass silently. */
export function loadCases(folder = casesFolder): ConformanceCase[] {
  const cases: ConformanceCase[] = []
  const ids = new Set<string>()
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.json')) continue
    const file = JSON.parse(readFileSync(join(folder, name), 'utf8')) as CaseFile
    for (const entry of file.cases) {
      checkEntry(entry, file)
      if (ids.has(entry.id)) throw new Error(`${name}: the id ${entry.id} is used twice`)
      ids.add(entry.id)
      cases.push({ ...entry, send: entry.send ?? plainGet, group: file.group, direction: file.direction })
    }
  }
  return cases
}

function checkEntry(entry: CaseFile['cases'][number], file: CaseFile): void {
  const where = entry.id
  refuseUnknown(where, entry, caseKeys)
  if (!entry.id.startsWith(`${file.group}/`)) throw new Error(`${where}: the id does not begin with the group ${file.group}`)
  if (!entry.section || !entry.title) throw new Error(`${where}: section and title are needed`)
  if (file.direction === 'request' ? entry.send === undefined : entry.origin?.answer === undefined) {
    throw new Error(`${where}: a request case needs "send", a response case needs "origin.answer"`)
  }
  if (entry.origin) refuseUnknown(where, entry.origin, originKeys)
  if (entry.needs !== undefined && !needs.includes(entry.needs)) throw new Error(`${where}: unknown need ${String(entry.needs)}`)
  if (entry.example === true && entry.rule === undefined) throw new Error(`${where}: an example breaks a rule`)
  if (entry.rule !== undefined && entry.nearMissOf !== undefined) throw new Error(`${where}: a case that breaks a rule is no near miss`)
  checkExpectation(where, entry.expect)
}

function checkExpectation(where: string, expect: Expectation): void {
  const keys = expectKeys[expect.outcome]
  if (keys === undefined) throw new Error(`${where}: unknown outcome ${String(expect.outcome)}`)
  refuseUnknown(where, expect, new Set(keys))
  if (expect.outcome === 'any-of') for (const one of expect.of) checkExpectation(where, one)
  if (expect.outcome !== 'forward') return
  for (const spec of toList(expect.upstream ?? [])) refuseUnknown(where, spec, upstreamKeys)
  if (expect.downstream) refuseUnknown(where, expect.downstream, downstreamKeys)
  for (const spec of expect.downstream?.responses ?? []) refuseUnknown(where, spec, responseKeys)
}

function refuseUnknown(where: string, value: object, known: ReadonlySet<string>): void {
  for (const key of Object.keys(value)) if (!known.has(key)) throw new Error(`${where}: unknown name "${key}"`)
}

/** A copy of the value with placeholders replaced in every string of it. */
export function withReplaced<T>(value: T, replacements: Readonly<Record<string, string>>): T {
  let text = JSON.stringify(value)
  for (const [placeholder, replacement] of Object.entries(replacements)) {
    text = text.replaceAll(placeholder, JSON.stringify(replacement).slice(1, -1))
  }
  return JSON.parse(text) as T
}

export function withMarker<T>(value: T, marker: string): T {
  return withReplaced(value, { [markerPlaceholder]: marker })
}

/** A step that is not bytes, or bytes in full. */
export type Step = { bytes: string } | Exclude<Segment, string | { repeat: Bytes; times: number }>

/** Repeats expanded and neighbouring bytes joined, so that each step of bytes is one write. */
export function expandSegments(segments: string | readonly Segment[]): Step[] {
  const steps: Step[] = []
  for (const segment of typeof segments === 'string' ? [segments] : segments) {
    if (typeof segment !== 'string' && !('repeat' in segment)) {
      steps.push(segment)
      continue
    }
    const bytes = expandBytes([segment])
    const last = steps.at(-1)
    if (last && 'bytes' in last) last.bytes += bytes
    else steps.push({ bytes })
  }
  return steps
}

function expandBytes(bytes: Bytes): string {
  if (typeof bytes === 'string') return bytes
  return bytes.map((part) => (typeof part === 'string' ? part : expandBytes(part.repeat).repeat(part.times))).join('')
}

export function toList<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T]
}
