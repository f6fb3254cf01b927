/** What a parser throws: for a message that breaks a rule, and for a parser that is used wrongly. */
import { ruleTable, type RuleId } from './rules.ts'

/** A message broke a rule. `code` and `rule` are stable API, `message` is not. */
export class ParseError extends Error {
  readonly code = 'ERR_PARSER_RULE'
  readonly rule: RuleId
  /** What a server answers to it; a proxy answers 502 where the message was a response. */
  readonly status: number
  readonly section: string
  /** Bytes from the start of the message to the first byte that cannot be accepted. */
  readonly offset: number
  constructor(rule: RuleId, offset: number) {
    const row = ruleTable[rule]
    super(`${rule} at byte ${offset}: ${row.refuses} (${row.section})`)
    this.name = 'ParseError'
    this.rule = rule
    this.status = row.status
    this.section = row.section
    this.offset = offset
  }
}

/** The caller broke the contract of the parser. */
export class ParserUsageError extends Error {
  readonly code:
    | 'ERR_PARSER_DISPOSED'
    | 'ERR_PARSER_REENTERED'
    | 'ERR_PARSER_STOPPED'
    | 'ERR_PARSER_SLOTS'
    | 'ERR_PARSER_MEMORY'
    | 'ERR_PARSER_OPTION'
  constructor(code: ParserUsageError['code'], message: string) {
    super(message)
    this.name = 'ParserUsageError'
    this.code = code
  }
}

/** Throws ParserUsageError ERR_PARSER_MEMORY: a contradiction inside the binding, never caused by input. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new ParserUsageError('ERR_PARSER_MEMORY', message)
}
