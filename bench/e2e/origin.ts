/**
 * The origin of the end-to-end bench: a child process, one raw TCP server on a port that the system chooses and that it reports over the
 * message channel. It keeps connections alive, answers pipelined requests in order and reads bodies by Content-Length or chunked.
 * It is made to cost little, since it shares its core with the load generator: no HTTP library, prepared answers, one write per
 * read. It is an origin for a bench, not for the internet: no timeouts, no 100-continue, and a request it does not
 * understand gets a 400 and the end of its connection.
 */
import assert from 'node:assert/strict'
import { createServer, type AddressInfo, type Socket } from 'node:net'

interface Answer {
  readonly kept: Buffer
  /** The same with Connection: close. */
  readonly last: Buffer
}

const date = new Date().toUTCString()
const smallAnswer = prepare(Buffer.from('Hello, bench!'))
const kibAnswer = prepare(Buffer.alloc(1_024, 'k'))
const mibBody = Buffer.alloc(1_048_576, 'm')
const mibAnswer = prepare(mibBody)
/** Its head; the body is written in pieces, as the connection takes them. */
const streamedBytes = 100 * mibBody.length
const streamedHead = headOf(streamedBytes)
const badRequest = Buffer.from('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
const noBytes = Buffer.alloc(0)
const headBytesMax = 65_536
const lineBytesMax = 4_096
const unreadBytesMax = 4_194_304

const InputState = {
  /** Before or inside a request head. */
  HEAD: 'head',
  /** `#left` bytes of a body with Content-Length are missing. */
  LENGTH: 'length',
  CHUNK_SIZE: 'chunk-size',
  /** `#left` bytes of a chunk and its CRLF are missing. */
  CHUNK_DATA: 'chunk-data',
  TRAILER: 'trailer',
  /** A large answer is being written, `#streamLeft` bytes of it are missing; input waits. */
  STREAMING: 'streaming',
  /** Refused or finished; input is thrown away. */
  CLOSED: 'closed',
} as const
type InputState = (typeof InputState)[keyof typeof InputState]

class Connection {
  readonly #socket: Socket
  #state: InputState = InputState.HEAD
  /** An incomplete head or line from earlier reads. */
  #carry: Buffer | null = null
  #left = 0
  #bodyBytes = 0
  #head = ''
  #hasBody = false
  #answers: Buffer[] = []
  #streamLeft = 0

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', this.#onData)
    socket.on('drain', this.#onDrain)
    // A proxy that resets an idle connection is ordinary; 'close' follows and there is nothing to release.
    socket.on('error', () => {})
  }

  #onData = (chunk: Buffer): void => {
    // A workload sends one request again and again; when it came whole, it is known by its bytes.
    if (this.#carry === null && this.#state === InputState.HEAD && known !== null && known.request.equals(chunk)) {
      this.#socket.write(known.answer)
      return
    }
    let input = chunk
    if (this.#carry !== null) {
      input = Buffer.concat([this.#carry, chunk])
      this.#carry = null
    }
    let at = 0
    while (at < input.length && this.#state !== InputState.CLOSED) {
      const next = this.#step(input, at)
      if (next === at) {
        this.#carry = Buffer.from(input.subarray(at))
        break
      }
      at = next
    }
    this.#flush()
  }

  #onDrain = (): void => {
    if (this.#state === InputState.STREAMING) this.#stream()
    else this.#socket.resume()
  }

  /** Consumes one element at `at` and returns where the next begins; `at` itself when the element is incomplete. */
  #step(input: Buffer, at: number): number {
    switch (this.#state) {
      case InputState.HEAD:
        return this.#readHead(input, at)
      case InputState.LENGTH: {
        const taken = Math.min(this.#left, input.length - at)
        this.#left -= taken
        this.#bodyBytes += taken
        if (this.#left === 0) this.#answer()
        return at + taken
      }
      case InputState.CHUNK_SIZE: {
        const end = this.#lineEnd(input, at)
        if (end === -1) return at
        const size = /^([0-9a-f]{1,12})[ \t]*(?:;.*)?$/i.exec(input.toString('latin1', at, end))?.[1]
        if (size === undefined) return this.#refuse(input)
        const bytes = Number.parseInt(size, 16)
        this.#bodyBytes += bytes
        this.#left = bytes + 2
        this.#state = bytes === 0 ? InputState.TRAILER : InputState.CHUNK_DATA
        return end + 2
      }
      case InputState.CHUNK_DATA: {
        const taken = Math.min(this.#left, input.length - at)
        this.#left -= taken
        if (this.#left === 0) this.#state = InputState.CHUNK_SIZE
        return at + taken
      }
      case InputState.TRAILER: {
        const end = this.#lineEnd(input, at)
        if (end === -1) return at
        if (end === at) this.#answer()
        return end + 2
      }
      case InputState.STREAMING:
        return at
      case InputState.CLOSED:
        return input.length
    }
  }

  #readHead(input: Buffer, at: number): number {
    const end = input.indexOf('\r\n\r\n', at, 'latin1')
    if (end === -1) return input.length - at > headBytesMax ? this.#refuse(input) : at
    const head = input.toString('latin1', at, end)
    this.#head = head
    this.#bodyBytes = 0
    const lengthField = /\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*(?:\r\n|$)/i.exec(head)
    const isChunked = /\r\ntransfer-encoding:[ \t]*chunked[ \t]*(?:\r\n|$)/i.test(head)
    this.#hasBody = isChunked || lengthField !== null
    if (isChunked) {
      this.#state = InputState.CHUNK_SIZE
    } else if (lengthField !== null && lengthField[1] !== '0') {
      this.#left = Number(lengthField[1])
      this.#state = InputState.LENGTH
    } else if (head.startsWith('GET /100m ')) {
      this.#answers.push(streamedHead)
      this.#flush()
      this.#streamLeft = streamedBytes
      this.#state = InputState.STREAMING
      this.#socket.pause()
      this.#stream()
    } else {
      this.#answer()
      const wasWhole = at === 0 && end + 4 === input.length
      if (wasWhole && this.#answers.length === 1 && this.#answers[0] !== badRequest && this.#state === InputState.HEAD)
        known = { request: Buffer.from(input), answer: this.#answers[0]! }
    }
    return end + 4
  }

  /** Never more than one piece is queued. */
  #stream(): void {
    while (this.#streamLeft > 0) {
      this.#streamLeft -= mibBody.length
      if (!this.#socket.write(mibBody)) return
    }
    this.#state = InputState.HEAD
    this.#socket.resume()
    if (this.#carry !== null) this.#onData(noBytes)
  }

  #lineEnd(input: Buffer, at: number): number {
    const end = input.indexOf('\r\n', at, 'latin1')
    if (end === -1 && input.length - at > lineBytesMax) this.#refuse(input)
    return end
  }

  /** The request is complete. A request with a body is answered with the number of bytes that arrived, so a check can compare it. */
  #answer(): void {
    this.#state = InputState.HEAD
    const head = this.#head
    const isLast = /\r\nconnection:[ \t]*close[ \t]*(?:\r\n|$)/i.test(head) || head.includes(' HTTP/1.0\r\n')
    const answer = this.#chooseAnswer(head)
    // A large answer is not collected with others: it is written as it was prepared and never copied.
    if (answer === mibAnswer) this.#flush()
    this.#answers.push(isLast ? answer.last : answer.kept)
    if (answer === mibAnswer) this.#flush()
    if (isLast) {
      this.#state = InputState.CLOSED
      this.#flush()
      this.#socket.end()
    }
  }

  #chooseAnswer(head: string): Answer {
    if (this.#hasBody) return countAnswer(this.#bodyBytes)
    if (head.startsWith('GET /1m ')) return mibAnswer
    if (head.startsWith('GET /1k ')) return kibAnswer
    return smallAnswer
  }

  #refuse(input: Buffer): number {
    this.#answers.push(badRequest)
    this.#state = InputState.CLOSED
    this.#flush()
    this.#socket.end()
    return input.length
  }

  #flush(): void {
    const answers = this.#answers
    if (answers.length === 0) return
    this.#answers = []
    this.#socket.write(answers.length === 1 ? answers[0]! : Buffer.concat(answers))
    if (this.#socket.writableLength > unreadBytesMax) this.#socket.pause()
  }
}

function prepare(body: Buffer): Answer {
  return {
    kept: Buffer.concat([headOf(body.length), body]),
    // RFC 9112 section 9.6: who closes after this response says so, or the next request on the connection is lost.
    last: Buffer.concat([headOf(body.length, 'Connection: close\r\n'), body]),
  }
}

function headOf(bodyBytes: number, lastField = ''): Buffer {
  const fields = `Server: bench-origin\r\nDate: ${date}\r\nContent-Type: text/plain\r\nContent-Length: ${bodyBytes}\r\n${lastField}`
  return Buffer.from(`HTTP/1.1 200 OK\r\n${fields}\r\n`, 'latin1')
}

let known: { readonly request: Buffer; readonly answer: Buffer } | null = null

// A workload sends one size of body only, so the last answer is nearly always the next one, too.
let lastCount = -1
let lastCountAnswer = smallAnswer
function countAnswer(bytes: number): Answer {
  if (bytes !== lastCount) {
    lastCount = bytes
    lastCountAnswer = prepare(Buffer.from(`${bytes}\n`, 'latin1'))
  }
  return lastCountAnswer
}

assert(process.send !== undefined, 'the origin is started by the bench, with a message channel')
process.once('disconnect', () => process.exit(0))
// An interrupt from the terminal reaches the whole group; the bench ends its children itself and in order.
process.on('SIGINT', () => {})
const server = createServer({ noDelay: true }, (socket) => new Connection(socket))
server.listen({ port: 0, host: '127.0.0.1', backlog: 1_024 }, () => {
  process.send?.({ port: (server.address() as AddressInfo).port })
})
