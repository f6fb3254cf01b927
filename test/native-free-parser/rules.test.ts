/**
 * Every rule of the strictness table, by example: what breaks it is refused with its id and status at the marked octet, and what almost
 * breaks it passes. A rule without examples fails here, as does an example of a rule that is gone.
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { createParser, ParseError, ParserEngine, ruleTable } from '../../native-free-parser/index.ts'
import { transcribe, type Conversation } from '../support/parser-transcript.ts'
import { ruleExamples, rulesRaisedElsewhere, withoutMark } from '../support/rule-examples.ts'

const engine = new ParserEngine({ slots: 4 })
const ignoreAll = { onHead() {}, onBody() {}, onTrailers() {}, onMessageComplete() {} }

/** The rule that one message breaks. */
function refuse(conversation: Conversation): ParseError {
  const parser = createParser(conversation.kind, ignoreAll, conversation.limits, engine)
  const octets = Buffer.from(conversation.raw, 'latin1')
  try {
    if (conversation.contexts !== undefined) parser.expectResponse(conversation.contexts[0]!)
    for (let at = 0; at < octets.length;) {
      at += parser.execute(octets, at)
      if (at < octets.length) parser.resume()
    }
    parser.finish()
  } catch (error) {
    if (error instanceof ParseError) return error
    throw error
  } finally {
    parser.dispose()
  }
  assert.fail(`${JSON.stringify(conversation.raw)} is accepted`)
}

test('every rule has examples, or is named as one that other layers raise', () => {
  assert.deepEqual(Object.keys(ruleTable).sort(), [...Object.keys(ruleExamples), ...rulesRaisedElsewhere].sort())
  for (const [rule, { refused, accepted }] of Object.entries(ruleExamples)) {
    assert(refused.length > 0, `${rule} has a message that breaks it`)
    assert(accepted.length > 0, `${rule} has a near miss`)
  }
})

for (const [rule, { refused, accepted }] of Object.entries(ruleExamples)) {
  test(`${rule} refuses what breaks it, at the offset of the first octet that cannot be accepted`, () => {
    for (const marked of refused) {
      const { conversation, offset } = withoutMark(marked)
      const error = refuse(conversation)
      const seen = `${JSON.stringify(conversation.raw.slice(0, 200))} gives ${error.rule} at ${error.offset}`
      assert.equal(error.rule, rule, seen)
      assert.equal(error.status, ruleTable[error.rule].status, seen)
      assert.equal(error.section, ruleTable[error.rule].section, seen)
      assert.equal(error.code, 'ERR_PARSER_RULE')
      if (offset >= 0) assert.equal(error.offset, offset, seen)
    }
  })

  test(`${rule} leaves its near misses alone`, () => {
    for (const conversation of accepted) {
      const lines = transcribe(engine, conversation)
      assert.equal(
        lines.find((line) => line.startsWith('refused')),
        undefined,
        JSON.stringify(conversation.raw.slice(0, 200)),
      )
    }
  })
}

test('statuses and sections are what they say', () => {
  for (const [rule, { section, status, refuses }] of Object.entries(ruleTable)) {
    assert.match(rule, /^H1-[A-Z0-9]+(?:-[A-Z0-9]+)*$/)
    assert.match(section, /^RFC \d{4} section \d+(?:\.\d+)*$/, rule)
    assert(status >= 400 && status <= 599, rule)
    assert.match(refuses, /^[a-z0-9A-Z].*[^.]$/, rule)
  }
})
