/**
 * Compares what a case expects with what both ends saw. A pure function: no socket, no clock. Every fault is a sentence for
 * the report; a verdict is "passed" when there is none. What holds for every case, whatever it expects, is judged here too:
 * only well-formed messages may have reached the origin, and only well-formed responses the client.
 */
import {
  toList,
  type AbortExpectation,
  type DownstreamExpectation,
  type Direction,
  type Expectation,
  type FieldExpectation,
  type ForwardExpectation,
  type RefuseExpectation,
  type ResponseExpectation,
  type UpstreamExpectation,
} from './case-format.ts'
import type { SettleReason } from './client.ts'
import { quote, valuesOf, type Field, type ResponseReading, type StrictRequest, type StrictResponse } from './strict-parser.ts'

export interface Fault {
  text: string
  /** The message was handled safely; only the status of the refusal, or the close after it, is another one. */
  isMild: boolean
}

export interface Observation {
  direction: Direction
  /** All bytes of the exchange that the client received. */
  received: string
  responses: ResponseReading
  isEnded: boolean
  isReset: boolean
  settledBy: SettleReason
  /** What was wrong with the answer to a second request on the same connection. */
  followUpFault: string | null
  messages: readonly { request: StrictRequest | null; fault: string | null; bytes: string }[]
  unfinished: readonly { bytes: string; isOpen: boolean }[]
  /** What became of the upstream connection that carried the scripted answer. */
  scripted: 'unused' | 'closed' | 'open' | 'reused'
  /** The script ends with a close by the origin, so the proxy has nothing to decide. */
  originCloses: boolean
  /** Authorities of the origin itself: a proxy may send these as Host in place of the client's. */
  originAuthorities: readonly string[]
}

export function judge(expect: Expectation, seen: Observation): Fault[] {
  switch (expect.outcome) {
    case 'refuse':
      return judgeRefusal(expect, seen)
    case 'forward':
      return judgeForwarding(expect, seen)
    case 'abort':
      return judgeAbort(expect, seen)
    case 'any-of':
      return judgeAlternatives(expect.of, seen)
  }
}

function judgeAlternatives(alternatives: readonly Expectation[], seen: Observation): Fault[] {
  const attempts = alternatives.map((expect) => ({ expect, faults: judge(expect, seen) }))
  if (attempts.some(({ faults }) => faults.length === 0)) return []
  const text = attempts.map(({ expect, faults }) => `${expect.outcome}: ${faults.map((fault) => fault.text).join('; ')}`).join(' | ')
  const isMild = attempts.some(({ expect, faults }) => expect.outcome === 'refuse' && faults.every((fault) => fault.isMild))
  return [{ text: `none of the permitted outcomes: ${text}`, isMild }]
}

/** Collects faults; `where` names the side. */
class FaultList {
  readonly faults: Fault[] = []

  add(text: string): void {
    this.faults.push({ text, isMild: false })
  }

  addMild(text: string): void {
    this.faults.push({ text, isMild: true })
  }
}

function judgeRefusal(expect: RefuseExpectation, seen: Observation): Fault[] {
  const list = new FaultList()
  // In a response case the request is good and has to reach the origin.
  if (seen.direction === 'request') judgeReach(expect, seen, list)
  // A proxy that speaks HTTP/2 answers its preface with binary frames, which begin with the length of a small SETTINGS frame.
  if (expect.silenceAllowed && seen.received.startsWith('\0\0')) return list.faults
  const { finals, fault } = seen.responses
  if (fault !== null) list.add(`downstream: ${fault}`)
  const answer = finals[0]
  if (answer === undefined) {
    if (!seen.isEnded) list.add(`no response and no close (${seen.settledBy})`)
    else if (!expect.silenceAllowed) list.add(`closed without a response${seen.isReset ? ' (reset)' : ''}`)
  } else {
    if (!expect.status.includes(answer.status)) list.addMild(`status ${answer.status}, expected ${expect.status.join('/')}`)
    if (isFromOrigin(answer)) list.add('the answer came from the origin')
    if (finals.length > 1) list.add(`${finals.length} responses (${finals.map(({ status }) => status).join(',')}) to one request`)
    if (!expect.mayStayOpen && !seen.isEnded) list.addMild('the connection was left open after the refusal')
  }
  judgeBytesAbsent(expect.bytesAbsent, seen, list)
  if (seen.direction === 'response' && !seen.originCloses) judgeScripted('after the bad response', seen, list)
  return list.faults
}

function judgeReach(expect: RefuseExpectation, seen: Observation, list: FaultList): void {
  const first = seen.messages[0]
  if (first !== undefined) {
    const fault = first.fault === null ? '' : ` [${first.fault}]`
    list.add(`reached the origin ${seen.messages.length} times: ${quote(first.bytes, 140)}${fault}`)
  } else if (expect.reach === 'prefix') {
    if (seen.unfinished.some(({ isOpen }) => isOpen)) list.add('a message cut off towards the origin was left on an open connection')
  } else if (seen.unfinished[0]) list.add(`reached the origin in part: ${quote(seen.unfinished[0].bytes, 140)}`)
}

function judgeForwarding(expect: ForwardExpectation, seen: Observation): Fault[] {
  const list = new FaultList()
  const upstream = expect.upstream === null ? null : toList(expect.upstream ?? {})
  if (upstream !== null) judgeMessages(upstream, seen, list)
  judgeResponses(expect.downstream ?? {}, upstream?.length ?? 1, seen, list)
  if (seen.followUpFault !== null) list.add(seen.followUpFault)
  if (expect.upstreamClosed) judgeScripted('', seen, list)
  return list.faults
}

function judgeMessages(specs: readonly UpstreamExpectation[], seen: Observation, list: FaultList): void {
  for (const { fault, bytes } of seen.messages) if (fault !== null) list.add(`upstream: malformed [${fault}]: ${quote(bytes, 120)}`)
  if (seen.unfinished[0]) list.add(`upstream: an unfinished message: ${quote(seen.unfinished[0].bytes, 120)}`)
  if (seen.messages.length !== specs.length) {
    const last = seen.messages.at(-1)
    const extra = seen.messages.length > specs.length && last ? `: ${quote(last.bytes, 120)}` : ''
    list.add(`upstream: ${seen.messages.length} requests, expected ${specs.length}${extra}`)
  }
  if (list.faults.length > 0) return
  const left = seen.messages.flatMap(({ request, bytes }) => (request === null ? [] : [{ request, bytes }]))
  for (const spec of specs) {
    const { target } = spec
    // Several requests may take several connections, so their order at the origin is open.
    const index = specs.length > 1 && target !== undefined ? left.findIndex(({ request }) => toList(target).includes(request.target)) : 0
    const message = left[index]
    if (message === undefined) list.add(`upstream: no request with the target ${JSON.stringify(target)}`)
    else {
      left.splice(index, 1)
      judgeRequest(spec, message.request, message.bytes, seen, list)
    }
  }
}

function judgeRequest(spec: UpstreamExpectation, request: StrictRequest, bytes: string, seen: Observation, list: FaultList): void {
  if (spec.method !== undefined && request.method !== spec.method) list.add(`upstream: method ${request.method}, expected ${spec.method}`)
  if (spec.target !== undefined && !toList(spec.target).includes(request.target)) {
    list.add(`upstream: target ${quote(request.target)}, expected ${quote(toList(spec.target).join(' or '), 160)}`)
  }
  if (spec.host !== undefined) judgeHost([...toList(spec.host), ...seen.originAuthorities], request, list)
  judgeMessage('upstream', spec, request, list)
  for (const text of spec.bytesAbsent ?? []) if (bytes.includes(text)) list.add(`upstream: contains ${quote(text)}`)
}

function judgeHost(permitted: readonly string[], { fields }: StrictRequest, list: FaultList): void {
  const host = valuesOf(fields, 'host')[0] ?? ''
  if (permitted.some((one) => one.toLowerCase() === host.toLowerCase())) return
  list.add(`upstream: Host ${quote(host)}, expected ${quote(permitted[0] ?? '')}`)
}

function judgeResponses(spec: DownstreamExpectation, requestCount: number, seen: Observation, list: FaultList): void {
  const { finals, interims, fault } = seen.responses
  if (fault !== null) list.add(`downstream: ${fault}`)
  const specs = spec.responses ?? Array.from({ length: Math.max(1, requestCount) }, () => withDefaults(spec, seen.direction))
  const countMin = spec.responsesMin ?? specs.length
  if (finals.length > specs.length || finals.length < countMin) {
    const how = finals.length < countMin ? ` (${seen.settledBy}${seen.isReset ? ', reset' : ''})` : ''
    list.add(`downstream: ${finals.length} responses, expected ${specs.length}${how}`)
  }
  specs.forEach((one, index) => {
    const response = finals[index]
    if (response) judgeResponse(index === 0 ? 'downstream' : `downstream[${index}]`, one, response, list)
  })
  for (const status of spec.interim ?? []) {
    if (!interims.some((interim) => interim.status === status)) list.add(`downstream: the interim ${status} was not relayed`)
  }
  for (const status of spec.interimAbsent ?? []) {
    if (interims.some((interim) => interim.status === status)) list.add(`downstream: the interim ${status} must not be sent`)
  }
  if (spec.close !== undefined && spec.close !== seen.isEnded) {
    list.add(`downstream: the connection was ${seen.isEnded ? 'closed' : 'not closed'}`)
  }
  judgeBytesAbsent(spec.bytesAbsent, seen, list)
}

/** A good request is answered by the origin with 200 unless the case says otherwise. */
function withDefaults(spec: DownstreamExpectation, direction: Direction): ResponseExpectation {
  const isSilent = direction === 'request' && spec.status === undefined && spec.fromOrigin === undefined
  return isSilent ? { ...spec, status: 200, fromOrigin: true } : spec
}

function judgeResponse(where: string, spec: ResponseExpectation, response: StrictResponse, list: FaultList): void {
  if (spec.status !== undefined && !toList(spec.status).includes(response.status)) {
    list.add(`${where}: status ${response.status}, expected ${toList(spec.status).join('/')}`)
  }
  if (spec.fromOrigin !== undefined && spec.fromOrigin !== isFromOrigin(response)) {
    list.add(`${where}: the response (${response.status}) came from ${spec.fromOrigin ? 'the proxy' : 'the origin'}`)
  }
  if (!response.complete) list.add(`${where}: the response is incomplete`)
  judgeMessage(where, spec, response, list)
}

type Message = Pick<StrictResponse, 'version' | 'framing' | 'body' | 'fields' | 'trailers'>

function judgeMessage(where: string, spec: UpstreamExpectation | ResponseExpectation, message: Message, list: FaultList): void {
  if (spec.version !== undefined && !toList(spec.version).includes(message.version)) list.add(`${where}: version ${message.version}`)
  if (spec.body !== undefined && spec.body !== message.body) {
    list.add(`${where}: body ${quote(message.body)} of ${message.body.length} bytes, expected ${quote(spec.body)} of ${spec.body.length}`)
  }
  if (spec.bodyBytes !== undefined && spec.bodyBytes !== message.body.length) {
    list.add(`${where}: body of ${message.body.length} bytes, expected ${spec.bodyBytes}`)
  }
  if (spec.framing !== undefined && !toList(spec.framing).some((framing) => isFramedAs(framing, message))) {
    list.add(`${where}: framing ${message.framing}, expected ${toList(spec.framing).join(' or ')}`)
  }
  for (const name of spec.trailersAbsent ?? []) if (valuesOf(message.trailers, name).length > 0) list.add(`${where}: trailer ${name}`)
  for (const [name, expected] of Object.entries(spec.fields ?? {})) judgeField(where, name, expected, message.fields, list)
}

/** An explicit length of zero says the same as no framing field at all. */
function isFramedAs(framing: string, message: Message): boolean {
  const isEmptyByLength = message.framing === 'content-length' && valuesOf(message.fields, 'content-length')[0] === '0'
  return framing === message.framing || (framing === 'none' && isEmptyByLength)
}

function judgeField(where: string, name: string, expected: FieldExpectation, fields: readonly Field[], list: FaultList): void {
  const values = valuesOf(fields, name)
  const value = values.join(', ')
  if (expected === null) {
    if (values.length > 0) list.add(`${where}: ${name} is present (${quote(value)})`)
  } else if (typeof expected === 'string') {
    if (oneSpaceAfterCommas(value) !== oneSpaceAfterCommas(expected))
      list.add(`${where}: ${name} is ${quote(value)}, expected ${quote(expected)}`)
  } else {
    const pattern = 'matches' in expected ? expected.matches : expected.absentOrMatches
    const mayBeAbsent = 'absentOrMatches' in expected && values.length === 0
    if (!mayBeAbsent && !new RegExp(pattern, 'i').test(value)) list.add(`${where}: ${name} is ${quote(value)}, expected /${pattern}/`)
  }
}

function oneSpaceAfterCommas(value: string): string {
  return value.replace(/,\s*/g, ', ')
}

/** The origin's response is broken: the client must be able to tell, by a 502 or by a cut that cannot be taken for an end. */
function judgeAbort(expect: AbortExpectation, seen: Observation): Fault[] {
  const list = new FaultList()
  const { finals, fault } = seen.responses
  const response = finals[0]
  if (response === undefined) {
    if (!seen.isEnded) list.add(`no response and no close (${seen.settledBy})`)
  } else if (isFromOrigin(response) || !expect.status.includes(response.status)) {
    if (fault !== null && !fault.startsWith('bytes that are no response')) list.add(`downstream: ${fault}`)
    const looksComplete = response.complete || (response.framing === 'close' && response.version === '1.1')
    if (looksComplete) list.add(`a broken response was passed on as complete (${response.framing}, ${response.body.length} bytes)`)
    if (!seen.isEnded) list.add('the connection was left open after a broken response')
  }
  if (finals.length > 1) list.add(`downstream: ${finals.length} responses`)
  judgeBytesAbsent(expect.bytesAbsent, seen, list)
  if (!seen.originCloses) judgeScripted('after the bad response', seen, list)
  return list.faults
}

function judgeScripted(when: string, { scripted }: Observation, list: FaultList): void {
  if (scripted === 'reused') list.add(`the upstream connection was used again ${when}`.trim())
  if (scripted === 'open') list.add(`the upstream connection was kept open ${when}`.trim())
}

function judgeBytesAbsent(texts: readonly string[] | undefined, { received }: Observation, list: FaultList): void {
  for (const text of texts ?? []) if (received.includes(text)) list.add(`downstream: contains ${quote(text)}`)
}

function isFromOrigin({ fields }: StrictResponse): boolean {
  return valuesOf(fields, 'x-origin').length > 0
}
