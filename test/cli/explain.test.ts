import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explainRule, listRules } from '../../lib/cli/explain.ts'
import { ruleIds } from '../../lib/cli/explain-flags.ts'
import { readCommandLine } from '../../lib/cli/flags.ts'
import { paintAnsi, paintNothing } from '../../lib/conformance/paint.ts'
import { ruleReasons, ruleTable } from '../../lib/index.ts'

test('every rule is explained, with its section, a message that breaks it and one that passes', () => {
  for (const id of ruleIds) {
    const text = explainRule(id, paintNothing)
    assert.match(text, new RegExp(`^${id} {2}status ${ruleTable[id].status}(?:, 502 for a response)?\\n`))
    for (const label of ['Refuses', 'Why', 'Loosened', 'Written', 'Breaks it', 'Passes'])
      assert.match(text, new RegExp(`^${label} +\\S`, 'm'), `${id} ${label}`)
    assert.ok(text.includes(ruleTable[id].section), id)
    assert.match(text, /https:\/\/www\.rfc-editor\.org\/rfc\/rfc\d{4}#section-[\d.]+\n/, id)
    assert.match(ruleReasons[id], /^\S.+\.$/, `${id} has reasons in whole sentences`)
    for (const line of text.split('\n')) assert.match(line, /^[\x20-\x7e…]{0,200}$/, id)
  }
})

test('the list has a line for each rule', () => {
  const lines = listRules(paintNothing).trimEnd().split('\n')
  assert.deepEqual(
    lines.map((line) => line.split(' ')[0]),
    ruleIds,
  )
})

test('colours add nothing but escape sequences', () => {
  const id = 'H1-CL-AND-TE'
  assert.equal(explainRule(id, paintAnsi).replaceAll(/\u001b\[\d+m/g, ''), explainRule(id, paintNothing))
})

test('rules are found in any case and without their prefix, and a misspelt one is guessed', async () => {
  const rulesOf = async (...args: string[]): Promise<readonly string[]> => {
    const command = await readCommandLine(['explain', ...args])
    assert.ok(command.kind === 'explain', JSON.stringify(command))
    return command.rules
  }
  assert.deepEqual(await rulesOf(), [])
  assert.deepEqual(await rulesOf('h1-nul', 'Host-Empty'), ['H1-NUL', 'H1-HOST-EMPTY'])
  const command = await readCommandLine(['explain', 'h1-host-emtpy'])
  assert.deepEqual(command, { kind: 'misuse', message: 'there is no rule h1-host-emtpy; did you mean H1-HOST-EMPTY?' })
  assert.deepEqual(await readCommandLine(['explain', 'te']), {
    kind: 'misuse',
    message: 'there is no rule te; there are H1-TE-HTTP10, H1-TE-REPEATED, H1-TE-INVALID, H1-TE-CODING, H1-TE-UNALLOWED',
  })
  assert.deepEqual(await readCommandLine(['explain', 'H1']), {
    kind: 'misuse',
    message: 'there is no rule H1; eproxy-raw explain lists all',
  })
})
