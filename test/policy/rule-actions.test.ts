/** Which rules may be told to warn only, and that every rule of the table says whether it may. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { fixedReasons, looseRules, ruleTable, type Rule } from '../../native-free-parser/index.ts'
import { checkRuleActions, findActionFault, toleratedRules } from '../../lib/policy/rule-actions.ts'

test('every rule has a looser action with its reason, or a reason why it has none', () => {
  for (const [id, row] of Object.entries(ruleTable) as [string, Rule][]) {
    assert.equal((row.warn === undefined) !== (row.fixed === undefined), true, id)
    assert.equal(looseRules.has(id as keyof typeof ruleTable), row.warn !== undefined, id)
  }
  assert.deepEqual([...looseRules].sort(), [
    'H1-EMPTY-LINE',
    'H1-MAX-FORWARDS',
    'H1-TARGET-CHAR',
    'H1-TARGET-ESCAPE',
    'H1-TRAILER-FIELD',
    'H1-UPGRADE',
  ])
})

test('a rule of the framing cannot be loosened, and it is told why', () => {
  for (const rule of Object.keys(ruleTable).filter((id) => /^H1-(?:CL|TE|CHUNK)-/.test(id))) {
    assert.match(findActionFault(rule, 'warn'), new RegExp(`^${rule} cannot be loosened: `))
    assert.equal(findActionFault(rule, 'reject'), '')
  }
  assert.match(findActionFault('H1-CL-AND-TE', 'warn'), new RegExp(fixedReasons.framing))
  assert.equal(findActionFault('H1-NOTHING', 'warn'), 'there is no rule H1-NOTHING')
  assert.equal(findActionFault('toString', 'warn'), 'there is no rule toString')
  assert.equal(findActionFault('H1-UPGRADE', 'allow'), 'H1-UPGRADE can be reject or warn, not allow')
  assert.throws(() => checkRuleActions({ 'H1-NUL': 'warn' }, 'route r: rules'), {
    code: 'ERR_EPROXY_OPTION',
    message: /^route r: rules: H1-NUL/,
  })
})

test('what a route says of a rule goes before what its listener says', () => {
  assert.deepEqual(
    [...toleratedRules({ 'H1-UPGRADE': 'warn', 'H1-EMPTY-LINE': 'warn' }, { 'H1-UPGRADE': 'reject', 'H1-TARGET-CHAR': 'warn' })].sort(),
    ['H1-EMPTY-LINE', 'H1-TARGET-CHAR'],
  )
  assert.equal(toleratedRules(undefined, undefined).size, 0)
})
