/**
 * Reads a stream of HTTP/1.1 messages as bytes, in pieces of any size, and hands on heads, bodies and trailers as they come: what the peers
 * of the soak read with. It takes only the canonical form that a careful sender writes; everything else is a MessageFault. It keeps nothing of a
 * body, and never more than one unfinished head or line. Written against RFC 9112 alone; it shares no code with the parser of the product.
 */

export class MessageFault extends Error {}

export interface MessageHead {
  /** Request line or status line. */
  readonly startLine: string
  /** Of a response; 0 for a request. */
  readonly status: number
  /** The value of a field, '' without one. */
  field(name: string): string
}

export interface MessageListener {
  /** 'bodyless': no body follows, whatever the head says (RFC 9112 section 6.3). 'tunnel': what follows is no HTTP. */
  onHead(head: MessageHead): 'framed' | 'bodyless' | 'tunnel'
  onBody(bytes: Buffer): void
  onComplete(trailers: string): void
}

const requestLine = /^[A-Z]+ [\x21-\x7e]+ HTTP\/1\.1$/
const statusLine = /^HTTP\/1\.1 ([1-5][0-9]{2}) [\t\x20-\x7e\x80-\xff]*$/
const fieldLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?|)$/
const unfinishedBytesMax = 131_072
const hopByHop: readonly string[] = ['keep-alive', 'proxy-connection', 'te']

type Expected = 'head' | 'length' | 'chunk-size' | 'chunk-data' | 'chunk-end' | 'trailers' | 'close' | 'tunnel'

export class MessageReader {
  readonly #kind: 'request' | 'response'
  readonly #listener: MessageListener
  #expected: Expected = 'head'
  #unfinished: Buffer | undefined
  #bytesLeft = 0
  #trailers = ''

  constructor(kind: 'request' | 'response', listener: MessageListener) {
    this.#kind = kind
    this.#listener = listener
  }

  /** Between two messages: nothing of the next one has come. */
  get isAtBoundary(): boolean {
    return this.#expected === 'head' && this.#unfinished === undefined
  }

  get isTunnel(): boolean {
    return this.#expected === 'tunnel'
  }

  /** Throws MessageFault. */
  push(piece: Buffer): void {
    let rest = this.#unfinished === undefined ? piece : Buffer.concat([this.#unfinished, piece])
    this.#unfinished = undefined
    while (rest.length > 0) {
      const taken = this.#take(rest)
      if (taken === 0) {
        if (rest.length > unfinishedBytesMax) throw new MessageFault(`a ${this.#expected} without an end`)
        this.#unfinished = rest
        return
      }
      rest = rest.subarray(taken)
    }
  }

  /** The stream has ended. Throws MessageFault when something is missing. */
  end(): void {
    if (this.#expected === 'close') return this.#complete()
    if (!this.isAtBoundary && !this.isTunnel)
      throw new MessageFault(`the stream ends in a ${this.#kind}, where its ${this.#expected} is due`)
  }

  /** Takes one thing from the front; returns its bytes, 0 when it has not all come. */
  #take(rest: Buffer): number {
    switch (this.#expected) {
      case 'head': {
        const end = rest.indexOf('\r\n\r\n')
        if (end < 0) return 0
        this.#readHead(rest.toString('latin1', 0, end))
        return end + 4
      }
      case 'length':
      case 'chunk-data': {
        const taken = Math.min(rest.length, this.#bytesLeft)
        this.#bytesLeft -= taken
        this.#listener.onBody(rest.subarray(0, taken))
        if (this.#bytesLeft === 0) {
          if (this.#expected === 'length') this.#complete()
          else this.#expected = 'chunk-end'
        }
        return taken
      }
      case 'close':
      case 'tunnel':
        this.#listener.onBody(rest)
        return rest.length
      default: {
        const end = rest.indexOf('\r\n')
        if (end < 0) return 0
        this.#readLine(rest.toString('latin1', 0, end))
        return end + 2
      }
    }
  }

  #readLine(line: string): void {
    switch (this.#expected) {
      case 'chunk-size':
        if (!/^(?:0|[1-9a-f][0-9a-f]{0,7})$/.test(line)) throw new MessageFault(`chunk size ${JSON.stringify(line.slice(0, 60))}`)
        this.#bytesLeft = Number.parseInt(line, 16)
        this.#expected = this.#bytesLeft === 0 ? 'trailers' : 'chunk-data'
        return
      case 'chunk-end':
        if (line !== '') throw new MessageFault(`chunk data is followed by ${JSON.stringify(line.slice(0, 60))}`)
        this.#expected = 'chunk-size'
        return
      case 'trailers':
        if (line === '') return this.#complete()
        readField(line)
        this.#trailers += `${line}\r\n`
    }
  }

  #readHead(text: string): void {
    const [startLine = '', ...lines] = text.split('\r\n')
    const match = this.#kind === 'request' ? requestLine.exec(startLine) : statusLine.exec(startLine)
    if (match === null) throw new MessageFault(`start of a ${this.#kind}: ${JSON.stringify(startLine.slice(0, 120))}`)
    const status = Number(match[1] ?? 0)
    const fields = new Map<string, string>()
    for (const line of lines) {
      const [name, value] = readField(line)
      const before = fields.get(name)
      if (before !== undefined && ['host', 'content-length', 'transfer-encoding'].includes(name))
        throw new MessageFault(`two ${name} fields`)
      fields.set(name, before === undefined ? value : `${before}, ${value}`)
    }
    const framing = this.#readFraming(fields)
    const verdict = this.#listener.onHead({ startLine, status, field: (name) => fields.get(name.toLowerCase()) ?? '' })
    this.#trailers = ''
    if (verdict === 'tunnel') this.#expected = 'tunnel'
    else if (verdict === 'bodyless' || framing === 'none' || (framing === 'length' && this.#bytesLeft === 0)) this.#complete()
    else if (framing === 'length') this.#expected = 'length'
    else if (framing === 'chunked') this.#expected = 'chunk-size'
    else this.#expected = 'close'
  }

  #readFraming(fields: ReadonlyMap<string, string>): 'none' | 'length' | 'chunked' | 'close' {
    const length = fields.get('content-length')
    const coding = fields.get('transfer-encoding')
    if (coding !== undefined) {
      if (length !== undefined || coding !== 'chunked')
        throw new MessageFault(`Transfer-Encoding: ${coding}, Content-Length: ${String(length)}`)
      return 'chunked'
    }
    if (length === undefined) return this.#kind === 'request' ? 'none' : 'close'
    if (!/^(?:0|[1-9][0-9]{0,14})$/.test(length)) throw new MessageFault(`Content-Length: ${length}`)
    this.#bytesLeft = Number(length)
    return 'length'
  }

  #complete(): void {
    this.#expected = 'head'
    this.#listener.onComplete(this.#trailers)
  }
}

function readField(line: string): readonly [name: string, value: string] {
  const match = fieldLine.exec(line)
  if (match === null) throw new MessageFault(`field line ${JSON.stringify(line.slice(0, 120))}`)
  const name = match[1]!.toLowerCase()
  if (hopByHop.includes(name)) throw new MessageFault(`hop-by-hop field ${name}`)
  return [name, match[2]!]
}
