/**
 * What a run says: a block for each failing case with everything needed to repeat it by hand, a table by group, and one summary
 * line of the form `N passed, N failed`. Text only; main.ts decides where it goes.
 */
import { expandSegments, toList, withMarker, type ConformanceCase, type Expectation, type UpstreamExpectation } from './case-format.ts'
import type { CaseResult } from './runner.ts'
import { quote } from './strict-parser.ts'

const reachTexts = {
  nothing: 'nothing at the origin',
  prefix: 'no complete message at the origin',
  response: 'upstream connection closed',
} as const
const sentCharactersMax = 600
const seenCharactersMax = 500
const expectedCharactersMax = 600

export interface GroupCount {
  passed: number
  failed: number
}

export function describeResult(one: ConformanceCase, result: CaseResult): string {
  const lines = [
    `${result.passed ? 'PASS' : 'FAIL'} ${result.id} (${result.section}): ${result.title}`,
    `  sent      ${describeSent(one.send, result.marker)}`,
    ...(one.origin?.answer === undefined ? [] : [`  origin    ${describeSent(one.origin.answer, result.marker)}`]),
    `  seen      client: ${quote(result.received, seenCharactersMax)} ${result.isClosed ? '[closed]' : '[open]'}`,
    ...result.upstream.map((bytes) => `            origin: ${quote(bytes, seenCharactersMax)}`),
    ...(result.upstream.length === 0 ? ['            origin: nothing'] : []),
    `  expected  ${describeExpectation(one.expect)}`,
    ...result.faults.map((fault, index) => `  ${index === 0 ? 'why     ' : '        '}  ${fault}`),
  ]
  return lines.join('\n')
}

function describeSent(send: ConformanceCase['send'], marker: string): string {
  const steps = expandSegments(marker === '' ? send : withMarker(send, marker))
  return steps
    .map((step) => ('bytes' in step ? `${quote(step.bytes, sentCharactersMax)} (${step.bytes.length} bytes)` : JSON.stringify(step)))
    .join(' ')
}

export function describeExpectation(expect: Expectation): string {
  switch (expect.outcome) {
    case 'any-of':
      return expect.of.map(describeExpectation).join(' OR ')
    case 'abort':
      return `${expect.status.join('/')} or a response that is visibly cut off; both connections closed`
    case 'refuse': {
      const reach = reachTexts[expect.reach ?? 'response']
      const silence = expect.silenceAllowed ? ' or a silent close' : ''
      return `${expect.status.join('/')} by the proxy${silence}; ${reach}${expect.mayStayOpen ? '' : '; connection closed'}`
    }
    case 'forward': {
      const { upstream, downstream, upstreamClosed } = expect
      const requests = upstream === null ? '' : ` as ${JSON.stringify(toList<UpstreamExpectation>(upstream ?? {}))}`
      const answer = downstream ? `; answered as ${JSON.stringify(downstream)}` : ''
      const text = `forwarded${requests}${answer}${upstreamClosed ? '; upstream connection closed' : ''}`
      return text.length > expectedCharactersMax ? `${text.slice(0, expectedCharactersMax)}…` : text
    }
  }
}

export function countByGroup(results: readonly CaseResult[]): Map<string, GroupCount> {
  const groups = new Map<string, GroupCount>()
  for (const { group, passed } of results) {
    const count = groups.get(group) ?? { passed: 0, failed: 0 }
    count[passed ? 'passed' : 'failed'] += 1
    groups.set(group, count)
  }
  return groups
}

export function describeGroups(groups: ReadonlyMap<string, GroupCount>): string {
  const width = Math.max(...[...groups.keys()].map((name) => name.length))
  return [...groups]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, { passed, failed }]) => {
      const total = passed + failed
      return `  ${name.padEnd(width)}  ${String(passed).padStart(4)} of ${String(total).padStart(3)}${failed > 0 ? `  ${failed} failed` : ''}`
    })
    .join('\n')
}
