/**
 * The reference opinion of the suite on what a well-formed HTTP/1.1 message is. It is written against RFC 9110 and RFC 9112
 * alone and shares no code with the parser of the product: two readings that can disagree are the point of it. It works on
 * whole latin-1 strings and starts over at each call, so it has no state and no notion of time; speed is not its job.
 */

export interface Field {
  name: string
  value: string
}

export type RequestFraming = 'none' | 'content-length' | 'chunked'
export type ResponseFraming = RequestFraming | 'close' | 'tunnel'

export interface StrictRequest {
  method: string
  target: string
  version: string
  fields: Field[]
  framing: RequestFraming
  /** Of an unfinished message: what has arrived of the body. */
  body: string
  trailers: Field[]
}

export type RequestReading =
  /** `request` is set once the head is complete. */
  | { kind: 'unfinished'; request: StrictRequest | null }
  | { kind: 'malformed'; fault: string; request: StrictRequest | null }
  | { kind: 'complete'; request: StrictRequest; end: number }

export interface StrictResponse {
  version: string
  status: number
  fields: Field[]
  framing: ResponseFraming
  body: string
  complete: boolean
  trailers: Field[]
}

export interface ResponseReading {
  interims: StrictResponse[]
  finals: StrictResponse[]
  /** What is wrong with the bytes behind the last response; null when nothing is. */
  fault: string | null
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const requestLine = /^(?<method>[^ ]+) (?<target>[\x21-\x7e\x80-\xff]+) HTTP\/(?<version>[0-9]\.[0-9])$/
const statusLine = /^HTTP\/(?<version>1\.[01]) (?<status>[0-9]{3}) [\t\x20-\x7e\x80-\xff]*$/
const extensionName = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
const quotedString = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t\\x20-\\x7e\\x80-\\xff])*"'
const extension = `[ \\t]*;[ \\t]*${extensionName}(?:[ \\t]*=[ \\t]*(?:${extensionName}|${quotedString}))?`
// RFC 9112 section 7.1 sets no bound on the digits; 16 of them hold every size that a peer could mean.
const chunkLine = new RegExp(`^(?<size>[0-9A-Fa-f]{1,16})(?:${extension})*$`)
const chunkLineStart = /^(?:[0-9A-Fa-f]{1,16}(?:[ \t]*|[ \t]*;[^\n]*|\r))?$/

/** Reads one request that begins at `start`. */
export function readRequest(bytes: string, start: number): RequestReading {
  if (bytes.length === start) return { kind: 'unfinished', request: null }
  if (bytes[start] === '\r' || bytes[start] === '\n') return malformed('the request begins with CR or LF')
  const headEnd = bytes.indexOf('\r\n\r\n', start)
  if (headEnd < 0) return { kind: 'unfinished', request: null }
  const [firstLine = '', ...fieldLines] = bytes.slice(start, headEnd).split('\r\n')
  const words = requestLine.exec(firstLine)?.groups
  if (!words || !token.test(words['method'] ?? '')) return malformed(`bad request line ${quote(firstLine)}`)
  const fields = readFields(fieldLines)
  if (typeof fields === 'string') return malformed(fields)
  const request: StrictRequest = {
    method: words['method'] ?? '',
    target: words['target'] ?? '',
    version: words['version'] ?? '',
    fields,
    framing: 'none',
    body: '',
    trailers: [],
  }
  const fault = faultOfRequestHead(request)
  if (fault) return { kind: 'malformed', fault, request }
  return readRequestBody(bytes, headEnd + 4, request)
}

function malformed(fault: string): RequestReading {
  return { kind: 'malformed', fault, request: null }
}

/** One framing field at most, one Host: what a careful sender writes, not all that a receiver may accept. */
function faultOfRequestHead({ version, fields }: StrictRequest): string | null {
  const hosts = valuesOf(fields, 'host')
  const codings = valuesOf(fields, 'transfer-encoding')
  const lengths = valuesOf(fields, 'content-length')
  if (version !== '1.1' && version !== '1.0') return `version ${version}`
  if (hosts.length > 1) return 'several Host fields'
  if (hosts.length === 0 && version === '1.1') return 'no Host field'
  if (codings.length > 0 && lengths.length > 0) return 'Transfer-Encoding together with Content-Length'
  if (codings.length > 1) return 'several Transfer-Encoding fields'
  if (lengths.length > 1) return 'several Content-Length fields'
  if (codings[0] !== undefined && version === '1.0') return 'Transfer-Encoding on HTTP/1.0'
  if (codings[0] !== undefined && codings[0].toLowerCase() !== 'chunked') return `Transfer-Encoding is ${quote(codings[0])}`
  if (lengths[0] !== undefined && !/^[0-9]{1,19}$/.test(lengths[0])) return `Content-Length is ${quote(lengths[0])}`
  return null
}

function readRequestBody(bytes: string, bodyStart: number, request: StrictRequest): RequestReading {
  if (valuesOf(request.fields, 'transfer-encoding').length > 0) {
    const reading = readChunked(bytes, bodyStart)
    Object.assign(request, { framing: 'chunked', body: reading.body, trailers: reading.trailers })
    if (reading.fault) return { kind: 'malformed', fault: reading.fault, request }
    return reading.end === null ? { kind: 'unfinished', request } : { kind: 'complete', request, end: reading.end }
  }
  const length = valuesOf(request.fields, 'content-length')[0]
  if (length === undefined) return { kind: 'complete', request, end: bodyStart }
  const end = bodyStart + Number(length)
  Object.assign(request, { framing: 'content-length', body: bytes.slice(bodyStart, end) })
  return bytes.length < end ? { kind: 'unfinished', request } : { kind: 'complete', request, end }
}

/**
 * Reads a stream of responses. `answersToHead` holds the positions, among the final responses, of answers to HEAD;
 * `ended` says that no byte will follow, which is what completes a close-delimited body.
 */
export function readResponses(bytes: string, answersToHead: readonly number[], ended: boolean): ResponseReading {
  const reading: ResponseReading = { interims: [], finals: [], fault: null }
  let at = 0
  while (at < bytes.length && reading.fault === null) {
    const headEnd = bytes.indexOf('\r\n\r\n', at)
    if (headEnd < 0) {
      if (ended || bytes[at] !== 'H') reading.fault = `bytes that are no response ${quote(bytes.slice(at, at + 60))}`
      break
    }
    const response = readResponseHead(bytes.slice(at, headEnd))
    if (typeof response === 'string') {
      reading.fault = response
      break
    }
    at = headEnd + 4
    if (response.status < 200 && response.status >= 100 && response.status !== 101) {
      reading.interims.push(response)
      continue
    }
    const answersHead = answersToHead.includes(reading.finals.length)
    reading.finals.push(response)
    const body = readResponseBody(bytes, at, response, answersHead, ended)
    reading.fault = body.fault
    at = body.end
  }
  return reading
}

function readResponseHead(head: string): StrictResponse | string {
  const [firstLine = '', ...fieldLines] = head.split('\r\n')
  const words = statusLine.exec(firstLine)?.groups
  if (!words) return `bad status line ${quote(firstLine)}`
  const fields = readFields(fieldLines)
  if (typeof fields === 'string') return fields
  return {
    version: words['version'] ?? '',
    status: Number(words['status']),
    fields,
    framing: 'none',
    body: '',
    complete: true,
    trailers: [],
  }
}

/** RFC 9112 section 6.3 for responses, without any of its tolerance. Fills `response` in. */
function readResponseBody(
  bytes: string,
  start: number,
  response: StrictResponse,
  answersHead: boolean,
  ended: boolean,
): { end: number; fault: string | null } {
  const broken = (fault: string): { end: number; fault: string } => {
    response.complete = false
    return { end: start, fault }
  }
  const codings = valuesOf(response.fields, 'transfer-encoding')
  const lengths = valuesOf(response.fields, 'content-length')
  if (response.status === 101) {
    Object.assign(response, { framing: 'tunnel', body: bytes.slice(start) })
    return { end: bytes.length, fault: null }
  }
  if (answersHead || response.status === 204 || response.status === 304) return { end: start, fault: null }
  if (codings.length > 0 && lengths.length > 0) return broken('a response with Transfer-Encoding and Content-Length')
  if (codings.length > 1 || lengths.length > 1) return broken('a framing field is repeated in the response')
  if (codings[0] !== undefined) {
    if (codings[0].toLowerCase() !== 'chunked') return broken(`response Transfer-Encoding is ${quote(codings[0])}`)
    const reading = readChunked(bytes, start)
    Object.assign(response, { framing: 'chunked', body: reading.body, trailers: reading.trailers, complete: reading.end !== null })
    return { end: reading.end ?? bytes.length, fault: reading.fault }
  }
  if (lengths[0] !== undefined) {
    if (!/^[0-9]{1,15}$/.test(lengths[0])) return broken(`response Content-Length is ${quote(lengths[0])}`)
    const end = start + Number(lengths[0])
    Object.assign(response, { framing: 'content-length', body: bytes.slice(start, end), complete: bytes.length >= end })
    return { end: Math.min(end, bytes.length), fault: null }
  }
  Object.assign(response, { framing: 'close', body: bytes.slice(start), complete: ended })
  return { end: bytes.length, fault: null }
}

interface ChunkedReading {
  body: string
  trailers: Field[]
  /** Behind the empty line that ends the message; null while it has not arrived. */
  end: number | null
  fault: string | null
}

function readChunked(bytes: string, start: number): ChunkedReading {
  const reading: ChunkedReading = { body: '', trailers: [], end: null, fault: null }
  let at = start
  for (;;) {
    const lineEnd = bytes.indexOf('\n', at)
    if (lineEnd < 0) {
      if (!chunkLineStart.test(bytes.slice(at))) reading.fault = `bad chunk-size line ${quote(bytes.slice(at, at + 40))}`
      return reading
    }
    const line = bytes.slice(at, lineEnd)
    const size = line.endsWith('\r') ? chunkLine.exec(line.slice(0, -1))?.groups?.['size'] : undefined
    if (size === undefined) {
      reading.fault = `bad chunk-size line ${quote(line)}`
      return reading
    }
    at = lineEnd + 1
    const sizeBytes = Number.parseInt(size, 16)
    if (sizeBytes === 0) return readTrailers(bytes, at, reading)
    reading.body += bytes.slice(at, at + sizeBytes)
    at += sizeBytes
    if (bytes.length < at + 2) return reading
    if (!bytes.startsWith('\r\n', at)) {
      reading.fault = 'chunk data is not followed by CRLF'
      return reading
    }
    at += 2
  }
}

function readTrailers(bytes: string, start: number, reading: ChunkedReading): ChunkedReading {
  const lines: string[] = []
  let at = start
  for (;;) {
    const lineEnd = bytes.indexOf('\n', at)
    if (lineEnd < 0) return reading
    if (lineEnd === at || bytes[lineEnd - 1] !== '\r') return { ...reading, fault: 'a bare LF in the trailer section' }
    const line = bytes.slice(at, lineEnd - 1)
    at = lineEnd + 1
    if (line === '') break
    lines.push(line)
  }
  const trailers = readFields(lines)
  return typeof trailers === 'string' ? { ...reading, fault: `trailer: ${trailers}` } : { ...reading, trailers, end: at }
}

/** The fields, or what is wrong with them. */
function readFields(lines: readonly string[]): Field[] | string {
  const fields: Field[] = []
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (colon < 0) return `a field line without colon ${quote(line)}`
    const name = line.slice(0, colon)
    if (!token.test(name)) return `a field name that is no token ${quote(name)}`
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')
    if (/[\r\n\0]/.test(value)) return `CR, LF or NUL in the value of ${name}`
    fields.push({ name, value })
  }
  return fields
}

export function valuesOf(fields: readonly Field[], name: string): string[] {
  const wanted = name.toLowerCase()
  return fields.filter((field) => field.name.toLowerCase() === wanted).map((field) => field.value)
}

/** Bytes as a JSON string cut to a length that fits a report. */
export function quote(bytes: string, lengthMax = 80): string {
  const text = JSON.stringify(bytes).replace(/[\x7f-\xff]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`)
  return text.length > lengthMax ? `${text.slice(0, lengthMax)}…` : text
}
