/** One head, parsed for the tests of what is done with heads. Engine and head are shared: a head is valid until the next one is parsed. */
import assert from 'node:assert/strict'
import { createParser, ParserEngine } from '../../native-free-parser/index.ts'
import type { RequestHead, ResponseContext, ResponseHead } from '../../native-free-parser/index.ts'

const engine = new ParserEngine({ slots: 1 })
const limits = { headBytes: 4_000_000, fields: 60_000, startLineBytes: 1_000_000 }
const noEvents = { onBody() {}, onTrailers() {}, onMessageComplete() {} }

/** The head at the start of `raw`. Throws ParseError as the parser does. */
export function parseRequestHead(raw: string): RequestHead {
  let found: RequestHead | undefined
  using parser = createParser('request', { ...noEvents, onHead: (head) => void (found = head) }, limits, engine)
  parser.execute(Buffer.from(raw, 'latin1'))
  assert(found !== undefined, `${JSON.stringify(raw)} holds no whole head`)
  return found
}

export function parseResponseHead(raw: string, context: ResponseContext = { toHead: false, offered: [] }): ResponseHead {
  let found: ResponseHead | undefined
  using parser = createParser('response', { ...noEvents, onHead: (head) => void (found = head) }, limits, engine)
  parser.expectResponse(context)
  parser.execute(Buffer.from(raw, 'latin1'))
  assert(found !== undefined, `${JSON.stringify(raw)} holds no whole head`)
  return found
}
