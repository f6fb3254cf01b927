/**
 * What a run says to people: a block for each failing case with everything that is needed to repeat it by hand, a table by group, and
 * one last line with the count. Text only; the command decides where it goes.
 */
import {
  expandSegments,
  toList,
  withMarker,
  type ConformanceCase,
  type Expectation,
  type FieldExpectation,
  type ForwardExpectation,
  type ResponseExpectation,
  type UpstreamExpectation,
} from './case-format.ts'
import { paintNothing, type Paint } from './paint.ts'
import { renderBytes } from './render-bytes.ts'
import type { CaseResult, LeftOut } from './result.ts'
import { describeServerOutcome, toServerOutcomes } from './server-case.ts'
import { quote } from './strict-parser.ts'

const textWidth = 110

export function describeResult(one: ConformanceCase, result: CaseResult, paint: Paint = paintNothing): string {
  const verdict = result.passed ? paint('green', 'PASS') : paint('red', 'FAIL')
  const lines = [`${verdict}  ${paint('bold', result.id)}  ${result.section}`, `      ${result.title}`]
  const block = (title: string, body: readonly string[]): void => {
    lines.push(`  ${paint('dim', title)}`, ...body.map((line) => `    ${line}`))
  }
  block('sent', describeSteps(one.send, result.marker))
  if (one.origin?.answer !== undefined) block('sent by the origin', describeSteps(one.origin.answer, result.marker))
  const end = result.isClosed ? 'then closed' : 'left open'
  block(`seen by the client (${result.received.length} bytes, ${end})`, orNothing(renderBytes(result.received)))
  if (result.upstream !== null) {
    const bytes = result.upstream.reduce((sum, message) => sum + message.length, 0)
    block(`seen by the origin (${bytes} bytes)`, orNothing(result.upstream.flatMap((message) => renderBytes(message))))
  }
  block(
    'expected',
    describeExpected(one, result).flatMap((text) => wrap(text, '  ')),
  )
  if (result.faults.length > 0)
    block(
      'why',
      result.faults.flatMap((fault) => wrap(`- ${fault}`, '  ')),
    )
  if (!result.passed && one.rule !== undefined) block(`eproxy refuses it by a rule: eproxy-raw explain ${one.rule}`, [])
  return lines.join('\n')
}

/** What should have been, as seen from where the result was seen: a text for each permitted outcome. */
export function describeExpected(one: ConformanceCase, { upstream, marker }: CaseResult): string[] {
  if (upstream !== null) return describeExpectation(marker === '' ? one.expect : withMarker(one.expect, marker))
  const outcomes = toServerOutcomes(one)
  if (typeof outcomes === 'string') return [outcomes]
  return [...new Set(outcomes.map(describeServerOutcome))].map((text, index) => (index === 0 ? text : `or ${text}`))
}

/** The bytes of a sender, and between them what it does. */
export function describeSteps(segments: ConformanceCase['send'], marker: string): string[] {
  return expandSegments(marker === '' ? segments : withMarker(segments, marker)).flatMap((step) => {
    if ('bytes' in step) return renderBytes(step.bytes)
    if ('pauseMs' in step) return [`(waits ${step.pauseMs} ms)`]
    if ('awaitText' in step) return [`(waits for ${quote(step.awaitText)}, at most ${step.maxMs} ms)`]
    if ('halfClose' in step) return ['(ends its side)']
    return 'reset' in step ? ['(resets the connection)'] : ['(sends everything back from here on)']
  })
}

function orNothing(lines: readonly string[]): readonly string[] {
  return lines.length === 0 ? ['nothing'] : lines
}

const reachTexts = {
  nothing: ', nothing of it reaches the origin',
  prefix: ', no complete message reaches the origin',
  response: ', the upstream connection is closed',
} as const

function describeExpectation(expect: Expectation): string[] {
  switch (expect.outcome) {
    case 'any-of':
      return expect.of.flatMap((one, index) => describeExpectation(one).map((line) => (index === 0 ? line : `or ${line}`)))
    case 'abort':
      return [`${expect.status.join(' or ')}, or a response that is visibly cut off; both connections are closed`]
    case 'refuse': {
      const silence = expect.silenceAllowed ? ' or closes without a word' : ''
      const close = expect.mayStayOpen ? '' : ', the connection is closed'
      return [`the proxy answers ${expect.status.join(' or ')} in its own name${silence}${reachTexts[expect.reach ?? 'response']}${close}`]
    }
    case 'forward':
      return [describeForwarding(expect)]
  }
}

function describeForwarding({ upstream, downstream, upstreamClosed }: ForwardExpectation): string {
  const requests = upstream === null ? null : toList<UpstreamExpectation>(upstream ?? {})
  const parts = [
    requests === null
      ? 'what reaches the origin is left open'
      : `forwarded as ${requests.length === 0 ? 'nothing' : requests.map((one) => `one request${inBrackets(describeRequest(one))}`).join(' and ')}`,
  ]
  if (downstream !== undefined) {
    const answers = downstream.responses ?? [downstream]
    parts.push(`answered with ${answers.map((one) => describeResponse(one) || 'a response of the origin').join(', then ')}`)
    if (downstream.interim !== undefined) parts.push(`after ${downstream.interim.join(' and ')}`)
    if (downstream.interimAbsent !== undefined) parts.push(`without ${downstream.interimAbsent.join(' or ')}`)
    if (downstream.close !== undefined) parts.push(`the connection is ${downstream.close ? 'closed' : 'kept open'}`)
    for (const text of downstream.bytesAbsent ?? []) parts.push(`without ${quote(text)}`)
  }
  if (upstreamClosed) parts.push('the upstream connection is closed')
  return parts.join('; ')
}

function describeRequest(spec: UpstreamExpectation): string {
  return [
    spec.method === undefined ? '' : `method ${spec.method}`,
    spec.target === undefined
      ? ''
      : `target ${toList(spec.target)
          .map((target) => quote(target))
          .join(' or ')}`,
    spec.host === undefined ? '' : `Host ${toList(spec.host).join(' or ')}`,
    ...describeMessage(spec),
    ...(spec.bytesAbsent ?? []).map((text) => `without ${quote(text)}`),
  ]
    .filter((part) => part !== '')
    .join(', ')
}

function describeResponse(spec: ResponseExpectation): string {
  return [
    spec.status === undefined ? '' : toList(spec.status).join(' or '),
    spec.fromOrigin === undefined ? '' : `from the ${spec.fromOrigin ? 'origin' : 'proxy'}`,
    ...describeMessage(spec),
  ]
    .filter((part) => part !== '')
    .join(', ')
}

function describeMessage(spec: ResponseExpectation): string[] {
  return [
    spec.version === undefined ? '' : `version ${toList(spec.version).join(' or ')}`,
    spec.framing === undefined ? '' : `framed by ${toList(spec.framing).join(' or ')}`,
    spec.body === undefined ? '' : spec.body === '' ? 'no body' : `body ${quote(spec.body)}`,
    spec.bodyBytes === undefined ? '' : `body of ${spec.bodyBytes} bytes`,
    ...Object.entries(spec.fields ?? {}).map(([name, expected]) => describeField(name, expected)),
    ...(spec.trailersAbsent ?? []).map((name) => `no trailer ${name}`),
  ]
}

function describeField(name: string, expected: FieldExpectation): string {
  if (expected === null) return `no ${name}`
  if (typeof expected === 'string') return `${name}: ${expected}`
  return 'matches' in expected ? `${name} like /${expected.matches}/` : `${name} absent or like /${expected.absentOrMatches}/`
}

function inBrackets(text: string): string {
  return text === '' ? '' : ` (${text})`
}

/** At spaces; a word that is longer than a line stays whole. */
export function wrap(text: string, indent = ''): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length >= textWidth) {
      lines.push(line)
      line = indent
    }
    line += line === '' || line === indent ? word : ` ${word}`
  }
  return [...lines, line]
}

export interface GroupCount {
  readonly group: string
  readonly passed: number
  readonly failed: number
  readonly leftOut: number
}

export function countByGroup(results: readonly CaseResult[], leftOut: readonly LeftOut[]): GroupCount[] {
  const groups = [...new Set([...results, ...leftOut].map(({ group }) => group))].sort()
  return groups.map((group) => {
    const own = results.filter((result) => result.group === group)
    const passed = own.filter((result) => result.passed).length
    return { group, passed, failed: own.length - passed, leftOut: leftOut.filter((one) => one.group === group).length }
  })
}

export function describeGroups(groups: readonly GroupCount[], paint: Paint = paintNothing): string {
  const width = Math.max(5, ...groups.map(({ group }) => group.length))
  const rows = groups.map(({ group, passed, failed, leftOut }) => {
    const failures = failed === 0 ? '' : paint('red', `  ${failed} failed`)
    const omissions = leftOut === 0 ? '' : paint('dim', `  ${leftOut} not judged`)
    const judged = passed + failed
    const count = judged === 0 ? '          –' : `${String(passed).padStart(4)} of ${String(judged).padStart(3)}`
    return `  ${group.padEnd(width)}  ${count}${failures}${omissions}`
  })
  return rows.join('\n')
}

/** Why cases were not judged, each reason once. */
export function describeLeftOut(leftOut: readonly LeftOut[]): string[] {
  const counts = new Map<string, number>()
  for (const { why } of leftOut) counts.set(why, (counts.get(why) ?? 0) + 1)
  return [...counts].map(([why, count]) => `  ${String(count).padStart(4)} not judged: ${why}`)
}
