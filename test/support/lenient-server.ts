/**
 * A server that reads requests otherwise than they are meant, in one of the ways in which servers really do: what is body to others is a
 * request to it. Octets in, octets out; it knows no socket and no time. Every answer names, in X-Tag, the request that it answers, by the
 * target that this server has seen.
 */

export interface Leniency {
  /** How it reads, in words for a test's name. */
  readonly what: string
  /** Takes what follows the head for the next request, in spite of Transfer-Encoding. */
  readonly ignoresTransferEncoding?: true
  /** The same in spite of Content-Length, for these methods. */
  readonly ignoresLengthOf?: readonly string[]
  /** Reads only so many bits of a Content-Length. */
  readonly lengthBits?: number
  /** Takes a bare LF for the end of a line, and two for the end of a head. */
  readonly endsLinesAtLf?: true
  /** Answers when it has the head; the body may come later, and is the next request then. */
  readonly answersEarly?: true
  /** Answers these methods once more, in a piece of its own. */
  readonly answersTwice?: readonly string[]
  /** Sends a body to HEAD, which looks like another answer. */
  readonly answersHeadWithBody?: true
}

export const leniencies: readonly Leniency[] = [
  { what: 'ignores Transfer-Encoding', ignoresTransferEncoding: true },
  { what: 'ignores Content-Length on GET', ignoresLengthOf: ['GET'] },
  { what: 'ignores Content-Length', ignoresLengthOf: ['GET', 'POST'] },
  { what: 'ignores bodies and ends lines at LF', ignoresLengthOf: ['GET', 'POST'], ignoresTransferEncoding: true, endsLinesAtLf: true },
  { what: 'reads six bits of a Content-Length', lengthBits: 6 },
  { what: 'answers early and takes the body for a request', answersEarly: true },
  { what: 'answers POST twice', answersTwice: ['POST'] },
  { what: 'answers HEAD with a body', answersHeadWithBody: true },
]

const requestLine = /^(GET|HEAD|POST) (\S*) HTTP\/1\.[01]$/

export class LenientServer {
  readonly #leniency: Leniency
  #text = ''
  /** Octets of a body that it reads as one. */
  #bodyLeft = 0
  #isInChunks = false
  #answersWhenRead: string[] = []

  constructor(leniency: Leniency) {
    this.#leniency = leniency
  }

  /** What it says to that, in pieces. */
  receive(text: string): string[] {
    this.#text += text
    const out: string[] = []
    while (this.#step(out));
    return out
  }

  #step(out: string[]): boolean {
    if (this.#isInChunks) {
      const end = this.#text.indexOf('0\r\n\r\n')
      if (end < 0) return false
      this.#text = this.#text.slice(end + 5)
      this.#isInChunks = false
    }
    const taken = Math.min(this.#bodyLeft, this.#text.length)
    this.#text = this.#text.slice(taken)
    this.#bodyLeft -= taken
    if (this.#bodyLeft > 0) return false
    out.push(...this.#answersWhenRead.splice(0))
    return this.#readHead(out)
  }

  #readHead(out: string[]): boolean {
    const [lineEnd, headEnd] = this.#leniency.endsLinesAtLf === true ? [/\r?\n/, /\r?\n\r?\n/] : [/\r\n/, /\r\n\r\n/]
    const line = lineEnd.exec(this.#text)
    if (line === null) return false
    const start = requestLine.exec(this.#text.slice(0, line.index))
    if (start === null) {
      // Whatever this is: the next line may be a request.
      this.#text = this.#text.slice(line.index + line[0].length)
      return true
    }
    const end = headEnd.exec(this.#text)
    if (end === null) return false
    const head = this.#text.slice(0, end.index)
    this.#text = this.#text.slice(end.index + end[0].length)
    this.#onHead(start[1]!, start[2]!.slice(1), head, out)
    return true
  }

  #onHead(method: string, tag: string, head: string, out: string[]): void {
    const { ignoresTransferEncoding, ignoresLengthOf, lengthBits, answersEarly, answersTwice, answersHeadWithBody } = this.#leniency
    const response = respond(method, tag)
    const answers = answersTwice?.includes(method) === true ? [response, response] : [response]
    // A response that whoever asked has chosen: its tag stands in the target.
    if (answersHeadWithBody === true && method === 'HEAD') answers.push(respond('GET', tag))
    if (answersEarly === true) return void out.push(...answers)
    if (/\ntransfer-encoding:/i.test(head)) this.#isInChunks = ignoresTransferEncoding !== true
    else if (ignoresLengthOf?.includes(method) !== true) {
      const length = Number(/\ncontent-length: *([0-9]+)/i.exec(head)?.[1] ?? 0)
      this.#bodyLeft = lengthBits === undefined ? length : length % 2 ** lengthBits
    }
    this.#answersWhenRead = answers
  }
}

function respond(method: string, tag: string): string {
  return `HTTP/1.1 200 OK\r\nX-Tag: ${tag}\r\nContent-Length: ${tag.length}\r\n\r\n${method === 'HEAD' ? '' : tag}`
}

/** What one client of such a server sends, in pieces; the first one holds the whole head. */
export interface HostileRequest {
  readonly method: 'GET' | 'HEAD' | 'POST'
  readonly tag: string
  readonly pieces: readonly string[]
}

/** A request without a body: nothing in it can be misread. */
export function innocentRequest(tag: string): HostileRequest {
  return { method: 'GET', tag, pieces: [`GET /${tag} HTTP/1.1\r\nHost: a\r\n\r\n`] }
}

/** A valid request that smuggles others. `pick` chooses among the ways. */
export function smugglingRequest(tag: string, pick: <T>(choices: readonly T[]) => T): HostileRequest {
  const method = pick(['GET', 'POST', 'POST', 'POST', 'HEAD'] as const)
  const start = `${method} /${tag} HTTP/1.1\r\nHost: a\r\n`
  if (method === 'HEAD') return { method, tag, pieces: [`${start}\r\n`] }
  const end = pick(['\r\n', '\n'])
  const whole = `GET /${tag}-smuggled HTTP/1.1${end}Host: a${end}${end}`
  // The head goes on with whatever comes next on the connection.
  const half = `GET /${tag}-smuggled HTTP/1.1${end}X-Swallow: `
  const hidden = pick([whole, half, whole + whole, whole + half])
  // A line that is no request, of such a length that six bits of the whole are 0.
  const padding = 66 - ((hidden.length + 2) % 64)
  const body = `${'x'.repeat(padding - 2)}\r\n${hidden}`
  const framed = pick([
    { fields: `Content-Length: ${hidden.length}`, body: hidden },
    { fields: `Content-Length: ${body.length}`, body },
    { fields: 'Transfer-Encoding: chunked', body: `${(hidden.length + 2).toString(16)}\r\n\r\n${hidden}\r\n0\r\n\r\n` },
  ])
  const head = `${start}${framed.fields}\r\n\r\n`
  return { method, tag, pieces: pick([[head + framed.body], [head, framed.body]]) }
}
