/** A run in the XML that JUnit made common: a suite for each group, a failure with its text, a case that was not judged as skipped. */
import type { ConformanceCase } from './case-format.ts'
import type { CaseResult, LeftOut } from './result.ts'
import { describeResult } from './text-report.ts'

export function renderJunit(
  cases: ReadonlyMap<string, ConformanceCase>,
  results: readonly CaseResult[],
  leftOut: readonly LeftOut[],
  seconds: number,
): string {
  const groups = [...new Set([...results, ...leftOut].map(({ group }) => group))].sort()
  const failures = results.filter((result) => !result.passed).length
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="eproxy-raw conformance" tests="${results.length + leftOut.length}" failures="${failures}" skipped="${leftOut.length}" time="${seconds}">`,
  ]
  for (const group of groups) {
    const own = results.filter((result) => result.group === group)
    const skipped = leftOut.filter((one) => one.group === group)
    const failed = own.filter((result) => !result.passed).length
    lines.push(`  <testsuite name="${group}" tests="${own.length + skipped.length}" failures="${failed}" skipped="${skipped.length}">`)
    for (const result of own) {
      const open = `    <testcase classname="${group}" name="${escape(result.id)}" time="${(result.elapsedMs / 1000).toFixed(3)}"`
      const one = cases.get(result.id)
      if (result.passed || one === undefined) lines.push(`${open}/>`)
      else {
        lines.push(
          `${open}>`,
          `      <failure message="${escape(result.faults.join('; '))}">${escape(describeResult(one, result))}</failure>`,
        )
        lines.push('    </testcase>')
      }
    }
    for (const { id, why } of skipped) {
      lines.push(`    <testcase classname="${group}" name="${escape(id)}"><skipped message="${escape(why)}"/></testcase>`)
    }
    lines.push('  </testsuite>')
  }
  return `${[...lines, '</testsuites>'].join('\n')}\n`
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** XML has no way at all to write most control characters. */
function escape(text: string): string {
  return text
    .replace(/[&<>"]/g, (character) => entities[character] ?? '')
    .replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
