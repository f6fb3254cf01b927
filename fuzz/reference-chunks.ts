/**
 * The chunked coding of RFC 9112 section 7.1 a second time: slow, line by line, with the grammar as regular expressions, over all bytes at
 * once. Shares no code with the decoder of the product; the limits are the only thing that they have in common.
 */

export interface ChunkLimits {
  readonly chunkSizeDigits: number
  readonly chunkExtensionBytes: number
  readonly messageExtensionBytes: number
  readonly trailerFields: number
  readonly trailerBytes: number
}

export type ChunkVerdict =
  | { readonly kind: 'whole'; readonly body: string; readonly trailers: readonly string[]; readonly bytes: number }
  /** Right so far, as far as whole lines tell. */
  | { readonly kind: 'partial'; readonly body: string }
  | { readonly kind: 'refused'; readonly body: string }

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const quoted = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t \\x21-\\x7e\\x80-\\xff])*"'
const blank = '[ \\t]*'
const sizeLine = new RegExp(`^([0-9A-Fa-f]+)((?:${blank};${blank}${token}(?:${blank}=${blank}(?:${token}|${quoted}))?)*)$`)
const trailerLine = new RegExp(`^(${token}):([\\t\\x20-\\x7e\\x80-\\xff]*)$`)

/** Fields that RFC 9110 section 6.5.1 keeps out of trailer sections: framing, routing, controls, authentication, content format. */
const notInTrailers =
  /^(?:transfer-encoding|content-length|host|trailer|te|connection|keep-alive|upgrade|proxy-connection|cache-control|expect|max-forwards|pragma|range|if-(?:match|none-match|modified-since|unmodified-since|range)|(?:proxy-)?authorization|(?:www|proxy)-authenticate|(?:set-)?cookie|content-(?:encoding|type|range)|age|date|expires|location|retry-after|vary|warning|via|forwarded|x-forwarded-(?:for|host|proto)|x-real-ip|http2-settings)$/i

export function readChunks(text: string, limits: ChunkLimits): ChunkVerdict {
  let at = 0
  let body = ''
  let extensionBytes = 0
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd < 0) return { kind: 'partial', body }
    const match = sizeLine.exec(text.slice(at, lineEnd))
    if (match === null) return { kind: 'refused', body }
    const [, digits = '', extensions = ''] = match
    extensionBytes += extensions.length
    const size = BigInt(`0x${digits}`)
    const isTooMuch =
      digits.length > limits.chunkSizeDigits ||
      extensions.length > limits.chunkExtensionBytes ||
      extensionBytes > limits.messageExtensionBytes
    if (isTooMuch || size > BigInt(Number.MAX_SAFE_INTEGER)) return { kind: 'refused', body }
    at = lineEnd + 2
    if (size === 0n) return readTrailers(text, at, body, limits)
    const dataEnd = at + Number(size)
    body += text.slice(at, dataEnd)
    if (text.length < dataEnd + 2) return '\r\n'.startsWith(text.slice(dataEnd)) ? { kind: 'partial', body } : { kind: 'refused', body }
    if (text.slice(dataEnd, dataEnd + 2) !== '\r\n') return { kind: 'refused', body }
    at = dataEnd + 2
  }
}

function readTrailers(text: string, start: number, body: string, limits: ChunkLimits): ChunkVerdict {
  const trailers: string[] = []
  let at = start
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd < 0) return text.length - start > limits.trailerBytes ? { kind: 'refused', body } : { kind: 'partial', body }
    const line = text.slice(at, lineEnd)
    at = lineEnd + 2
    if (at - start > limits.trailerBytes) return { kind: 'refused', body }
    if (line === '') break
    const match = trailerLine.exec(line)
    if (match === null || trailers.length / 2 === limits.trailerFields) return { kind: 'refused', body }
    trailers.push(match[1]!, match[2]!.replace(/^[ \t]+|[ \t]+$/g, ''))
  }
  for (let i = 0; i < trailers.length; i += 2) if (notInTrailers.test(trailers[i]!)) return { kind: 'refused', body }
  return { kind: 'whole', body, trailers, bytes: at }
}
