/** The Connection field, RFC 9110 section 7.6.1. */
import { equalsIgnoreCase, isToken, isWhiteSpace } from './characters.ts'
import { ParseError } from './errors.ts'
import { FieldKind } from './field-kind.ts'
import { noNominations, type MessageHead } from './head.ts'
import { spanWidth } from './wasm/engine.ts'

/**
 * Fields that stay whatever Connection says of them: they are meant for every recipient, and a client that could have them removed
 * could strip what the origin relies on.
 */
const endToEnd: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'content-type',
  'content-encoding',
  'content-range',
  'transfer-encoding',
  'authorization',
  'www-authenticate',
  'cache-control',
  'date',
  'expect',
  'location',
  'max-forwards',
  'set-cookie',
  'via',
])

/** Reads all Connection fields into `head.connection`. Throws ParseError H1-CONNECTION-OPTION. */
export function readConnectionOptions(head: MessageHead): void {
  const options = head.connection
  options.close = false
  options.keepAlive = false
  options.upgrade = false
  options.te = false
  options.nominated = noNominations
  if (!head.has(FieldKind.CONNECTION)) return
  const nominated = new Set<string>()
  for (let i = 0; i < head.count; i++) if (head.kinds[i] === FieldKind.CONNECTION) readField(head, i, nominated)
  if (nominated.size > 0) options.nominated = nominated
}

function readField(head: MessageHead, index: number, nominated: Set<string>): void {
  const { raw, spans, connection } = head
  const end = spans[index * spanWidth + 3]!
  let start = spans[index * spanWidth + 2]!
  while (start <= end) {
    let stop = raw.indexOf(',', start)
    if (stop < 0 || stop > end) stop = end
    let from = start
    let to = stop
    while (from < to && isWhiteSpace(raw.charCodeAt(from))) from++
    while (to > from && isWhiteSpace(raw.charCodeAt(to - 1))) to--
    // Empty list elements are to be ignored, RFC 9110 section 5.6.1.2.
    if (from < to) {
      if (equalsIgnoreCase(raw, from, to, 'keep-alive')) connection.keepAlive = true
      else if (equalsIgnoreCase(raw, from, to, 'close')) connection.close = true
      else if (equalsIgnoreCase(raw, from, to, 'upgrade')) connection.upgrade = true
      else if (equalsIgnoreCase(raw, from, to, 'te')) connection.te = true
      else {
        if (!isToken(raw, from, to)) throw new ParseError('H1-CONNECTION-OPTION', from)
        const name = raw.substring(from, to).toLowerCase()
        if (!endToEnd.has(name)) nominated.add(name)
      }
    }
    start = stop + 1
  }
}
