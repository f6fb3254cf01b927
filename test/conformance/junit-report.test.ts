import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadCases } from '../../lib/conformance/case-format.ts'
import { renderJunit } from '../../lib/conformance/junit-report.ts'
import { resultOf, type CaseResult } from '../../lib/conformance/result.ts'

const cases = new Map(loadCases().map((one) => [one.id, one]))

function result(id: string, fault?: string): CaseResult {
  const faults = fault === undefined ? [] : [{ text: fault, isMild: false }]
  return { ...resultOf(cases.get(id)!, faults), isClosed: true, received: 'a\0b<c>\x1b', upstream: [], marker: 'qx000000', elapsedMs: 1234 }
}

test('has a suite for each group, with failures, cases not judged and times', () => {
  const xml = renderJunit(
    cases,
    [result('basic/plain-get'), result('host/empty', 'it said "no" & <left>')],
    [{ id: 'via-forwarded/request-that-was-here-before', group: 'via-forwarded', why: 'the proxy writes no Via' }],
    2.5,
  )
  assert.match(
    xml,
    /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<testsuites name="eproxy-raw conformance" tests="3" failures="1" skipped="1" time="2\.5">\n/,
  )
  assert.match(
    xml,
    /<testsuite name="basic" tests="1" failures="0" skipped="0">\n {4}<testcase classname="basic" name="basic\/plain-get" time="1\.234"\/>/,
  )
  assert.match(xml, /<failure message="it said &quot;no&quot; &amp; &lt;left&gt;">FAIL {2}host\/empty/)
  assert.match(xml, /<skipped message="the proxy writes no Via"\/>/)
})

test('holds no character that XML cannot hold', () => {
  const xml = renderJunit(cases, [result('host/empty', 'a\0b\x1b')], [], 1)
  assert.doesNotMatch(xml, /[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/)
  assert.match(xml, /a\\x00b\\x1b/)
})
