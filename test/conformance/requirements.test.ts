/** Every demand of the RFCs that two connections can show has cases, and every case that is named for one is there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadCases } from '../../lib/conformance/case-format.ts'
import { selectCases } from '../../lib/conformance/select.ts'
import { requirements } from './requirements.ts'

const cases = loadCases()

test('every requirement has a case, or a reason why it can have none', () => {
  for (const { section, must, cases: patterns, why } of requirements) {
    assert.match(section, /^RFC 91(?:10|12) section \d+(?:\.\d+)*$/)
    assert.equal(patterns.length > 0, why === undefined, `${section}: ${must}`)
  }
})

test('every case that a requirement names exists', () => {
  assert.deepEqual(
    requirements.flatMap(({ cases: patterns }) => (patterns.length === 0 ? [] : selectCases(cases, patterns).unmatched)),
    [],
  )
})
