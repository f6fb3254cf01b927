/** The chunked coding as eproxy sends it: no extensions, sizes in lower-case hex, RFC 9112 section 7.1. */
import type { TrailerSection } from './chunk-decoder.ts'
import type { FieldEdits } from './field-edits.ts'

/** Last chunk and an empty trailer section. */
export const lastChunk = '0\r\n\r\n'

/** The size line of a chunk of `bytes` octets, which must not be 0. Its data is followed by CRLF. */
export function encodeChunkHead(bytes: number): string {
  return bytes.toString(16) + '\r\n'
}

/**
 * Last chunk and the trailer section, without the fields named in `nominated` (lower case), which were for the hop they came over, and
 * without those that are dropped from heads: who merges trailers into the head would have them back.
 */
export function encodeTrailers({ rawFields }: TrailerSection, nominated: ReadonlySet<string>, edits: FieldEdits | null = null): string {
  let text = '0\r\n'
  for (let i = 0; i < rawFields.length; i += 2) {
    const name = rawFields[i]!
    if (!nominated.has(name.toLowerCase()) && (edits === null || !edits.drops(name))) text += name + ': ' + rawFields[i + 1]! + '\r\n'
  }
  return text + '\r\n'
}
