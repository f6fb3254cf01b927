/**
 * The texts of `eproxy-raw explain`. What a rule refuses stands in the rule table, why it matters beside it, and the examples are cases of
 * the conformance suite, so that nothing is shown here which is not run against the proxy.
 */
import { fixedReasons, ruleReasons, ruleTable, type Rule, type RuleId } from '../../native-free-parser/index.ts'
import { loadCases, type ConformanceCase } from '../conformance/case-format.ts'
import type { Paint } from '../conformance/paint.ts'
import { describeSteps, wrap } from '../conformance/text-report.ts'
import { ruleIds } from './explain-flags.ts'

/** As long as a marker, and easier to read. */
const exampleMarker = 'example1'

export function listRules(paint: Paint): string {
  const width = Math.max(...ruleIds.map((id) => id.length))
  const lines = ruleIds.map((id) => `${paint('bold', id.padEnd(width))}  ${ruleTable[id].status}  ${ruleTable[id].refuses}`)
  return `${lines.join('\n')}\n`
}

export function explainRule(id: RuleId, paint: Paint): string {
  const { refuses, status, section, warn, fixed }: Rule = ruleTable[id]
  const cases = loadCases()
  const broken = cases.find(({ rule, example }) => rule === id && example === true)
  const near = cases.find(({ nearMissOf }) => nearMissOf === id)
  const isForResponses = status !== 502 && cases.some((one) => one.rule === id && one.direction === 'response')
  return [
    `${paint('bold', id)}  status ${status}${isForResponses ? ', 502 for a response' : ''}`,
    '',
    ...labelled('Refuses', wrap(refuses), paint),
    ...labelled('Why', wrap(ruleReasons[id]), paint),
    ...labelled('Loosened', wrap(fixed === undefined ? `with the action warn: ${warn!}` : `never: ${fixedReasons[fixed]}`), paint),
    ...labelled('Written', [`${section}, ${linkOf(section)}`], paint),
    ...(broken === undefined ? [] : showCase('Breaks it', broken, paint)),
    ...(near === undefined ? [] : showCase('Passes', near, paint)),
    '',
  ].join('\n')
}

/** Of a response case the response is the subject, and the request before it is any. */
function subjectOf({ direction, send, origin }: ConformanceCase): ConformanceCase['send'] {
  return direction === 'request' ? send : (origin?.answer ?? send)
}

function labelled(label: string, lines: readonly string[], paint: Paint): string[] {
  return lines.map((line, index) => `${index === 0 ? paint('dim', label.padEnd(11)) : ' '.repeat(11)}${line}`)
}

function showCase(label: string, one: ConformanceCase, paint: Paint): string[] {
  const lines = describeSteps(subjectOf(one), exampleMarker)
  return labelled(label, [`${one.title} (conformance case ${one.id})`, ...lines.map((line) => `  ${line}`)], paint)
}

function linkOf(section: string): string {
  const [, rfc, part] = /^RFC (\d+) section (\S+)$/.exec(section) ?? []
  return `https://www.rfc-editor.org/rfc/rfc${rfc}#section-${part}`
}
