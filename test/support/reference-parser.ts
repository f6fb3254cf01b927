/**
 * A second opinion on what leaves the proxy: reads a stream of HTTP/1.1 messages, as strictly as a careful sender writes them, in pieces of
 * any size. It accepts only the canonical form (one space after a colon, one framing field, origin-form, lower-case chunk sizes without
 * extensions), so that everything doubtful is a fault here. Written against RFC 9112 alone; it shares no code with the parser of the product.
 */

export interface ReferenceMessage {
  /** Requests: method and target. Responses: ''. */
  readonly method: string
  readonly target: string
  /** Responses: the status. Requests: 0. */
  readonly status: number
  /** Names in lower case, in order. */
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly framing: 'none' | 'length' | 'chunked' | 'close' | 'tunnel'
  /** What has come of it so far, latin-1. */
  body: string
  complete: boolean
}

export class ReferenceFault extends Error {}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const requestLine = /^([A-Z]+) (\/[\x21-\x7e]*|\*) HTTP\/1\.1$/
const statusLine = /^HTTP\/1\.1 ([1-9][0-9]{2}) [\t\x20-\x7e\x80-\xff]*$/
const fieldLine = /^([^:]+): ([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?|)$/
const headBytesMax = 131_072

/** What a response answers; a request reader does not ask. */
export type MethodOf = (finalResponse: number) => string | undefined

export class ReferenceReader {
  readonly #kind: 'request' | 'response'
  readonly #methodOf: MethodOf
  /** All messages, interim responses among them; only the last one may be incomplete. */
  readonly messages: ReferenceMessage[] = []
  /** Final responses, or requests, whose head is complete. */
  finals = 0
  /** Bytes after a switch of protocols. */
  tunnel = ''
  #text = ''
  #current: ReferenceMessage | undefined
  #bytesLeft = 0
  #chunk: 'size' | 'data' | 'end' | 'trailers' = 'size'

  constructor(kind: 'request' | 'response', methodOf: MethodOf = () => undefined) {
    this.#kind = kind
    this.#methodOf = methodOf
  }

  /** Between two messages: nothing of the next one has come. */
  get isAtBoundary(): boolean {
    return this.#current === undefined && this.#text === ''
  }

  /** Where the stream may end without anything missing. */
  get mayEnd(): boolean {
    return this.isAtBoundary || this.#current?.framing === 'close' || this.#current?.framing === 'tunnel'
  }

  get last(): ReferenceMessage | undefined {
    return this.messages.at(-1)
  }

  /** From now on bytes are those of another protocol. */
  becomeTunnel(): void {
    this.#current = { method: '', target: '', status: 0, fields: [], framing: 'tunnel', body: '', complete: false }
    this.push('')
  }

  /** Throws ReferenceFault. */
  push(text: string): void {
    this.#text += text
    while (this.#step());
  }

  /** The stream has ended cleanly. */
  end(): void {
    if (!this.mayEnd) throw new ReferenceFault(`the stream ends inside a message: ${this.describe()}`)
    if (this.#current?.framing === 'close') this.#complete(this.#current)
  }

  describe(): string {
    const message = this.#current
    if (message === undefined)
      return this.#text === '' ? 'at a boundary' : `in a head that begins with ${JSON.stringify(this.#text.slice(0, 60))}`
    return `in the ${message.framing} body of ${message.method}${message.status} after ${message.body.length} bytes`
  }

  /** Does one thing; false when more bytes are needed. */
  #step(): boolean {
    const message = this.#current
    if (message === undefined) return this.#text !== '' && this.#readHead()
    switch (message.framing) {
      case 'length': {
        this.#takeBody(message, this.#bytesLeft)
        if (this.#bytesLeft === 0) this.#complete(message)
        return this.#bytesLeft === 0 && this.#text !== ''
      }
      case 'chunked':
        return this.#stepChunk(message)
      case 'tunnel':
        this.tunnel += this.#text
        this.#text = ''
        return false
      default:
        this.#takeBody(message, this.#text.length)
        return false
    }
  }

  #takeBody(message: ReferenceMessage, bytesMax: number): void {
    const taken = Math.min(bytesMax, this.#text.length)
    message.body += this.#text.slice(0, taken)
    this.#text = this.#text.slice(taken)
    this.#bytesLeft -= taken
  }

  #stepChunk(message: ReferenceMessage): boolean {
    if (this.#chunk === 'data') {
      this.#takeBody(message, this.#bytesLeft)
      if (this.#bytesLeft > 0) return false
      this.#chunk = 'end'
      return true
    }
    const line = this.#takeLine()
    if (line === undefined) return false
    switch (this.#chunk) {
      case 'size':
        if (!/^(?:0|[1-9a-f][0-9a-f]{0,7})$/.test(line)) throw new ReferenceFault(`chunk size ${JSON.stringify(line)}`)
        this.#bytesLeft = Number.parseInt(line, 16)
        this.#chunk = this.#bytesLeft === 0 ? 'trailers' : 'data'
        return true
      case 'end':
        if (line !== '') throw new ReferenceFault(`chunk data is followed by ${JSON.stringify(line)}`)
        this.#chunk = 'size'
        return true
      case 'trailers':
        if (line === '') this.#complete(message)
        else this.#readField(line)
        return true
    }
  }

  #takeLine(): string | undefined {
    const end = this.#text.indexOf('\r\n')
    if (end < 0) {
      if (this.#text.length > headBytesMax || this.#text.includes('\n'))
        throw new ReferenceFault(`no line: ${JSON.stringify(this.#text.slice(0, 60))}`)
      return undefined
    }
    const line = this.#text.slice(0, end)
    this.#text = this.#text.slice(end + 2)
    return line
  }

  #complete(message: ReferenceMessage): void {
    message.complete = true
    this.#current = undefined
    this.#chunk = 'size'
  }

  #readHead(): boolean {
    const end = this.#text.indexOf('\r\n\r\n')
    if (end < 0) {
      const isResponse = this.#kind === 'response'
      const start = this.#text.slice(0, 9)
      if (isResponse && !'HTTP/1.1 '.startsWith(start)) throw new ReferenceFault(`no response: ${JSON.stringify(this.#text.slice(0, 60))}`)
      if (!isResponse && !/^[A-Z]/.test(start)) throw new ReferenceFault(`no request: ${JSON.stringify(this.#text.slice(0, 60))}`)
      if (this.#text.length > headBytesMax) throw new ReferenceFault('a head without an end')
      return false
    }
    const [first = '', ...lines] = this.#text.slice(0, end).split('\r\n')
    this.#text = this.#text.slice(end + 4)
    const fields = lines.map((line) => this.#readField(line))
    for (const name of ['host', 'content-length', 'transfer-encoding', 'connection', 'date']) {
      if (fields.filter(([other]) => other === name).length > 1) throw new ReferenceFault(`several ${name} fields`)
    }
    const message = this.#kind === 'request' ? this.#readRequest(first, fields) : this.#readResponse(first, fields)
    this.messages.push(message)
    const isInterim = message.status >= 100 && message.status < 200 && message.status !== 101
    if (!isInterim) this.finals++
    if (message.framing === 'none') this.#complete(message)
    else if (message.framing === 'length' && this.#bytesLeft === 0) this.#complete(message)
    else this.#current = message
    return true
  }

  #readField(line: string): readonly [string, string] {
    const match = fieldLine.exec(line)
    if (match === null || !token.test(match[1]!)) throw new ReferenceFault(`field line ${JSON.stringify(line)}`)
    const name = match[1]!.toLowerCase()
    if (name === 'keep-alive' || name === 'proxy-connection') throw new ReferenceFault(`hop-by-hop field ${name}`)
    return [name, match[2]!]
  }

  #readRequest(line: string, fields: ReferenceMessage['fields']): ReferenceMessage {
    const match = requestLine.exec(line)
    if (match === null) throw new ReferenceFault(`request line ${JSON.stringify(line)}`)
    if (fieldOf(fields, 'host') === undefined) throw new ReferenceFault('no Host')
    return {
      method: match[1]!,
      target: match[2]!,
      status: 0,
      fields,
      framing: this.#readFraming(fields) ?? 'none',
      body: '',
      complete: false,
    }
  }

  #readResponse(line: string, fields: ReferenceMessage['fields']): ReferenceMessage {
    const match = statusLine.exec(line)
    if (match === null) throw new ReferenceFault(`status line ${JSON.stringify(line)}`)
    const status = Number(match[1])
    const declared = this.#readFraming(fields)
    let framing: ReferenceMessage['framing'] = declared ?? 'close'
    if (status < 200 || status === 204) {
      if (declared !== undefined) throw new ReferenceFault(`a ${status} with a framing field`)
      framing = status === 101 ? 'tunnel' : 'none'
    } else {
      const method = this.#methodOf(this.finals)
      if (method === undefined) throw new ReferenceFault(`response ${this.finals} answers no request: ${line}`)
      if (status === 304 || method === 'HEAD') framing = 'none'
      // A proxy that gave up on a head did not see that it was a HEAD: what follows may be there, up to the end of the connection.
      if (method === 'HEAD' && status >= 400 && fieldOf(fields, 'proxy-status') !== undefined && fieldOf(fields, 'connection') === 'close')
        framing = 'close'
    }
    return { method: '', target: '', status, fields, framing, body: '', complete: false }
  }

  #readFraming(fields: ReferenceMessage['fields']): 'length' | 'chunked' | undefined {
    const length = fieldOf(fields, 'content-length')
    const coding = fieldOf(fields, 'transfer-encoding')
    if (coding !== undefined) {
      if (length !== undefined || coding !== 'chunked')
        throw new ReferenceFault(`Transfer-Encoding: ${coding}, Content-Length: ${String(length)}`)
      return 'chunked'
    }
    if (length === undefined) return undefined
    if (!/^(?:0|[1-9][0-9]{0,14})$/.test(length)) throw new ReferenceFault(`Content-Length: ${length}`)
    this.#bytesLeft = Number(length)
    return 'length'
  }
}

/** The value of a field, undefined without one. */
export function fieldOf(fields: ReferenceMessage['fields'], name: string): string | undefined {
  return fields.find(([other]) => other === name)?.[1]
}
