/**
 * The recording origin: a raw TCP server behind the proxy that keeps every byte it receives, reads it with the strict parser
 * and answers by script. It owns the upstream half of the evidence of a case, which is found again through the marker in the
 * bytes, never through timing. It judges nothing.
 */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expandSegments, markerPattern, type OriginScript } from './case-format.ts'
import { readRequest, valuesOf, type StrictRequest } from './strict-parser.ts'

export interface RecordedMessage {
  /** null when not even the head could be read. */
  request: StrictRequest | null
  fault: string | null
  bytes: string
  markers: ReadonlySet<string>
}

export interface UnfinishedMessage {
  connection: OriginConnection
  bytes: string
}

export interface UpstreamRecord {
  messages: RecordedMessage[]
  unfinished: UnfinishedMessage[]
}

/** A script of one run, and the connection on which it was played. */
export interface PlayedScript {
  script: OriginScript
  connection: OriginConnection | null
}

const recordedBytesMax = 200_000
/** A message of this size is cut out of the buffer when it is complete, so that a long-lived connection stays cheap to read. */
const compactAfterBytes = 1 << 20
const markerLength = 8

export class RecordingOrigin {
  readonly #server: Server
  readonly #connections: OriginConnection[] = []
  readonly #byMarker = new Map<string, Set<OriginConnection>>()
  readonly #scripts = new Map<string, PlayedScript>()
  /** Messages that carry no marker at all: nobody sent them. */
  strayCount = 0

  constructor() {
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      this.#connections.push(new OriginConnection(this, socket))
    })
  }

  /** Port 0 picks a free one. Returns the port. */
  async listen(port: number, host = '127.0.0.1'): Promise<number> {
    this.#server.listen(port, host)
    await once(this.#server, 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) connection.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  play(marker: string, script: OriginScript): PlayedScript {
    const played: PlayedScript = { script, connection: null }
    this.#scripts.set(marker, played)
    return played
  }

  scriptFor(marker: string | null): PlayedScript | undefined {
    return marker === null ? undefined : this.#scripts.get(marker)
  }

  /** Called by a connection for each piece it receives. */
  note(connection: OriginConnection, piece: string): void {
    for (const marker of piece.match(markerPattern) ?? []) {
      const connections = this.#byMarker.get(marker) ?? new Set()
      this.#byMarker.set(marker, connections.add(connection))
    }
  }

  /** Everything that arrived with the marker. */
  recordOf(marker: string): UpstreamRecord {
    const record: UpstreamRecord = { messages: [], unfinished: [] }
    for (const connection of this.#byMarker.get(marker) ?? []) {
      const messages = connection.messages.filter((message) => message.markers.has(marker))
      record.messages.push(...messages)
      const rest = connection.unreadBytes()
      const isUnfinished = connection.isAnswering ? rest.includes(marker) : messages.length === 0
      if (isUnfinished) record.unfinished.push({ connection, bytes: rest })
    }
    return record
  }
}

export class OriginConnection {
  readonly messages: RecordedMessage[] = []
  readonly #origin: RecordingOrigin
  readonly #socket: Socket
  #buffer = ''
  #readTo = 0
  #isReading = false
  /** The head of the message now arriving has been looked at, and perhaps answered. */
  #headSeen = false
  #answeredEarly = false
  #isTunnel = false
  /** Cleared by the last answer: a fault, or a close. What comes later is kept but not read. */
  isAnswering = true
  /** The proxy has closed the connection, or its half. */
  isClosedByProxy = false

  constructor(origin: RecordingOrigin, socket: Socket) {
    this.#origin = origin
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#onData(chunk.toString('latin1')))
    socket.on('end', () => {
      this.isClosedByProxy = true
      if (!this.#isReading) socket.end()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.isClosedByProxy = true
    })
  }

  unreadBytes(): string {
    return this.#buffer.slice(this.#readTo)
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #onData(piece: string): void {
    this.#buffer += piece
    // A marker may lie across two pieces.
    this.#origin.note(this, this.#buffer.slice(-(piece.length + markerLength)))
    if (this.#isTunnel) this.#write(`echo:${piece}`)
    else void this.#read()
  }

  /** Takes message after message out of the buffer and answers each before it looks at the next. */
  async #read(): Promise<void> {
    if (this.#isReading) return
    this.#isReading = true
    while (this.isAnswering && !this.#isTunnel) {
      const reading = readRequest(this.#buffer, this.#readTo)
      if (reading.kind === 'unfinished') {
        // What arrives while an early answer is being sent is read in the next round.
        const sizeBefore = this.#buffer.length
        await this.#atHead(reading.request)
        if (this.#buffer.length === sizeBefore) break
        continue
      }
      if (reading.kind === 'malformed') {
        this.#record(reading.request, reading.fault, this.#buffer.slice(this.#readTo))
        this.isAnswering = false
        this.#write('HTTP/1.1 400 Bad Request\r\nX-Origin: malformed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
        this.#socket.end()
        break
      }
      this.#record(reading.request, null, this.#buffer.slice(this.#readTo, reading.end))
      this.#readTo = reading.end
      const isAnswered = this.#answeredEarly
      this.#headSeen = this.#answeredEarly = false
      if (this.#readTo > compactAfterBytes) {
        this.#buffer = this.#buffer.slice(this.#readTo)
        this.#readTo = 0
      }
      if (!isAnswered) await this.#answer(reading.request)
    }
    this.#isReading = false
    if (this.isClosedByProxy) this.#socket.end()
  }

  async #atHead(request: StrictRequest | null): Promise<void> {
    if (request === null || this.#headSeen) return
    this.#headSeen = true
    const played = this.#origin.scriptFor(markerOf(request))
    const wantsContinue = valuesOf(request.fields, 'expect').some((value) => /100-continue/i.test(value))
    if (played?.script.answerAt === 'head') {
      this.#answeredEarly = true
      await this.#answer(request)
    } else if (wantsContinue && !played?.script.withhold100) this.#write('HTTP/1.1 100 Continue\r\n\r\n')
  }

  #record(request: StrictRequest | null, fault: string | null, bytes: string): void {
    const markers = new Set(bytes.match(markerPattern) ?? [])
    if (markers.size === 0) this.#origin.strayCount += 1
    this.messages.push({ request, fault, bytes: bytes.slice(0, recordedBytesMax), markers })
  }

  async #answer(request: StrictRequest): Promise<void> {
    const marker = markerOf(request)
    const played = this.#origin.scriptFor(marker)
    const isPlayed = played?.script.answer !== undefined && !(played.script.once && played.connection !== null)
    if (isPlayed) await this.#answerByScript(played)
    else await this.#answerPlainly(request, marker ?? 'none')
  }

  async #answerByScript(played: PlayedScript): Promise<void> {
    const { answer = '', fragmentBytes, close } = played.script
    played.connection = this
    for (const step of expandSegments(answer)) {
      if ('pauseMs' in step) await delay(step.pauseMs)
      else if ('halfClose' in step) this.#socket.end()
      else if ('reset' in step) this.#socket.resetAndDestroy()
      else if ('tunnel' in step) this.#isTunnel = true
      else if ('bytes' in step && fragmentBytes === undefined) this.#write(step.bytes)
      else if ('bytes' in step && fragmentBytes !== undefined) {
        for (let at = 0; at < step.bytes.length; at += fragmentBytes) {
          this.#write(step.bytes.slice(at, at + fragmentBytes))
          await delay(1)
        }
      }
    }
    if (close) this.#end()
  }

  async #answerPlainly(request: StrictRequest, marker: string): Promise<void> {
    const waitMs = Number(valuesOf(request.fields, 'x-wait')[0] ?? 0)
    if (waitMs > 0) await delay(waitMs)
    const tag = valuesOf(request.fields, 'x-tag')[0]
    const body = tag === undefined ? `ok ${marker}` : `ok ${marker} ${tag}`
    const options = valuesOf(request.fields, 'connection')
      .join(',')
      .toLowerCase()
      .split(/[\s,]+/)
    const keepsOpen = request.version === '1.0' ? options.includes('keep-alive') : !options.includes('close')
    const connection = keepsOpen ? (request.version === '1.0' ? 'Connection: keep-alive\r\n' : '') : 'Connection: close\r\n'
    this.#write(
      `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Origin: ${marker}\r\nContent-Length: ${body.length}\r\n${connection}\r\n` +
        (request.method === 'HEAD' ? '' : body),
    )
    if (!keepsOpen) this.#end()
  }

  #end(): void {
    this.isAnswering = false
    this.#socket.end()
  }

  #write(bytes: string): void {
    if (this.#socket.writable) this.#socket.write(bytes, 'latin1')
  }
}

/** The target names the case; a proxy that rewrites the target leaves the marker in a field. */
function markerOf(request: StrictRequest): string | null {
  for (const text of [request.target, ...request.fields.map((field) => field.value)]) {
    const found = text.match(markerPattern)
    if (found) return found[0]
  }
  return null
}
