/** The sizes at which a parser stops, enforced while bytes arrive. */
export interface ParserLimits {
  /** Request line without its CRLF, bytes. */
  readonly startLineBytes: number
  /** Start line, fields and the empty line, bytes. */
  readonly headBytes: number
  readonly fields: number
  readonly chunkSizeDigits: number
  /** Extensions of one chunk, bytes. */
  readonly chunkExtensionBytes: number
  /** Extensions of all chunks of one message, bytes. */
  readonly messageExtensionBytes: number
  readonly trailerFields: number
  readonly trailerBytes: number
  /** 1xx responses before a final one. */
  readonly interimResponses: number
  /** All heads of 1xx responses before a final one, bytes. */
  readonly interimBytes: number
}

export const defaultRequestLimits: ParserLimits = Object.freeze({
  startLineBytes: 8_192,
  headBytes: 32_768,
  fields: 100,
  chunkSizeDigits: 16,
  chunkExtensionBytes: 256,
  messageExtensionBytes: 16_384,
  trailerFields: 32,
  trailerBytes: 8_192,
  interimResponses: 16,
  interimBytes: 65_536,
})

export const defaultResponseLimits: ParserLimits = Object.freeze({
  ...defaultRequestLimits,
  startLineBytes: 65_536,
  headBytes: 65_536,
  fields: 200,
})
