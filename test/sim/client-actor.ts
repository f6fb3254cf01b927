/** One simulated client: sends what was planned for it, when its temper allows, and judges every byte that comes back. */
import assert from 'node:assert/strict'
import { fieldOf, ReferenceFault, ReferenceReader, type ReferenceMessage } from '../support/reference-parser.ts'
import { makeBody, type Ledger, type PlannedRequest } from './ledger.ts'
import type { SimulatedSocket } from './simulated-socket.ts'
import type { World } from './world.ts'

const malformedHeads: readonly ((tag: string) => string)[] = [
  (tag) => `GET /${tag} HTTP/1.1\r\nX-Tag: ${tag}\r\n\r\n`,
  (tag) => `POST /${tag} HTTP/1.1\r\nHost: a\r\nX-Tag: ${tag}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  (tag) => `POST /${tag} HTTP/1.1\r\nHost: a\r\nX-Tag: ${tag}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`,
  (tag) => `GET /${tag} HTTP/1.1\r\nHost: a\r\nX-Tag : ${tag}\r\n\r\n`,
  (tag) => `GET /${tag} HTTP/1.1\nHost: a\nX-Tag: ${tag}\n\n`,
  (tag) => `GET /${tag} HTTP/1.1\r\nHost: a\r\nHost: b\r\nX-Tag: ${tag}\r\n\r\n`,
  (tag) => `GET /${tag} HTTP/1.1\r\nHost: a\r\nX-Tag: ${tag}\r\n folded\r\n\r\n`,
  (tag) => `POST /${tag} HTTP/1.1\r\nHost: a\r\nX-Tag: ${tag}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
  (tag) => `POST /${tag} HTTP/1.0\r\nHost: a\r\nX-Tag: ${tag}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  (tag) => `GET  /${tag} HTTP/1.1\r\nHost: a\r\nX-Tag: ${tag}\r\n\r\n`,
  (tag) => `GET /${tag} HTTP/2.0\r\nHost: a\r\nX-Tag: ${tag}\r\n\r\n`,
]

const malformedBodies: readonly string[] = [
  'x\r\nabc\r\n0\r\n\r\n',
  '3\nabc\r\n0\r\n\r\n',
  '3\r\nabcd\r\n0\r\n\r\n',
  '3\r\nabc\r\n0\r\nContent-Length: 4\r\n\r\n',
  '-1\r\n\r\n',
]

export class ClientActor {
  readonly name: string
  readonly socket: SimulatedSocket
  readonly #world: World
  readonly #ledger: Ledger
  readonly #reader: ReferenceReader
  readonly #plan: PlannedRequest[] = []
  readonly #depth: number
  readonly #endsAfterLast: boolean
  readonly #leaves: 'ends' | 'stays' | 'resets'
  readonly #stallsAt: number
  /** Of the request that is being sent. */
  #index = 0
  #offset = 0
  #received = 0
  #checked = 0
  #checkedBytes = 0
  #endJudged = false
  #tunnelSent = 0
  #waitedForContinue = 0
  readonly #tunnelText: string
  /** It has broken off by itself: what it was owed does not count. */
  gaveUp = false

  constructor(name: string, socket: SimulatedSocket, world: World, ledger: Ledger) {
    const { random } = world
    this.name = name
    this.socket = socket
    this.#world = world
    this.#ledger = ledger
    this.#depth = random.pick([1, 1, 2, 5])
    this.#endsAfterLast = world.fault(0.15)
    this.#leaves = random.pick(['ends', 'stays', 'resets'] as const)
    this.#stallsAt = world.fault(0.15) ? random.integer(0, 400) : Number.POSITIVE_INFINITY
    this.#tunnelText = makeBody(`${name}-tunnel`, world.bodyBytes() + 1)
    const count = random.integer(1, 5)
    for (let i = 0; i < count && !(this.#plan.at(-1)?.isLast ?? false); i++)
      this.#plan.push(this.#planRequest(`${name}r${i}q`, i === count - 1))
    for (const request of this.#plan) ledger.plan(request)
    this.#reader = new ReferenceReader('response', (final) => (this.#hasBegun(final) ? this.#plan[final]!.method : undefined))
    socket.peer.onBytes = (text) => this.#receive(text)
  }

  get plan(): readonly PlannedRequest[] {
    return this.#plan
  }

  /** Requests with a whole final response. */
  get answered(): number {
    return this.#reader.finals - (this.#reader.isAtBoundary || this.#reader.last?.status === 101 ? 0 : this.#isInFinal ? 1 : 0)
  }

  get hasAllAnswers(): boolean {
    return this.answered >= this.#plan.length || this.#isToldToClose
  }

  /** The proxy has said that no more requests are answered on this connection. */
  get #isToldToClose(): boolean {
    const { last } = this.#reader
    return last !== undefined && last.complete && fieldOf(last.fields, 'connection') === 'close'
  }

  /** It has announced a body and waits to be told to send it. */
  get isWaitingForContinue(): boolean {
    const request = this.#plan[this.#index]
    return request !== undefined && request.expectsContinue && this.#offset === request.headBytes
  }

  get isOver(): boolean {
    return this.socket.peer.isOver
  }

  /** The responses that came whole and from an origin, by tag. */
  get wholeAnswers(): readonly string[] {
    return this.#reader.messages
      .filter(({ complete, status }) => complete && status >= 200)
      .flatMap(({ fields }) => fieldOf(fields, 'x-tag') ?? [])
  }

  describe(): string {
    return `${this.name}: request ${this.#index}+${this.#offset} of ${this.#plan.length}, ${this.answered} answered, ${this.#reader.describe()}`
  }

  /** Something it could do now. */
  get canAct(): boolean {
    const { peer } = this.socket
    if (!peer.canSend) return false
    return this.#nextBytes > 0 || this.#mayLeave || (peer.sawEnd && !peer.ended)
  }

  act(): void {
    const { peer } = this.socket
    const { random } = this.#world
    if (!peer.canSend) return
    if (this.#world.fault(0.004)) return this.giveUp()
    const request = this.#plan[this.#index]
    if (this.#nextBytes > 0) {
      if (request === undefined) {
        const piece = this.#tunnelText.slice(this.#tunnelSent, this.#tunnelSent + this.#world.pieceBytes())
        this.#tunnelSent += piece.length
        return peer.send(piece)
      }
      const bytes = Math.min(this.#nextBytes, this.#world.pieceBytes())
      const piece = request.text.slice(this.#offset, this.#offset + bytes)
      this.#offset += bytes
      if (this.#offset === request.text.length) {
        this.#index++
        this.#offset = 0
        this.#waitedForContinue = 0
      }
      peer.send(piece)
      if (this.#index === this.#plan.length && this.#endsAfterLast) {
        this.gaveUp = true
        peer.end()
      }
      return
    }
    if (peer.sawEnd) return peer.end()
    if (this.#mayLeave) {
      if (this.#leaves === 'resets' && random.chance(0.5)) return peer.reset()
      peer.end()
    }
  }

  /** Breaks off, wherever it is. */
  giveUp(): void {
    this.gaveUp = true
    if (this.#world.random.chance(0.5)) this.socket.peer.reset()
    else this.socket.peer.end()
  }

  /** It has waited long enough for a 100, and goes on (RFC 9110 section 10.1.1). */
  loseIndecision(): void {
    this.#waitedForContinue = Number.POSITIVE_INFINITY
  }

  /** Its last words: all it was to get has come, or it does not wait any more. */
  leave(): void {
    if (this.#leaves !== 'stays') this.socket.peer.end()
  }

  /** After every step. */
  judge(): void {
    const { peer } = this.socket
    if (!peer.sawEnd || peer.sawReset || this.#endJudged) return
    this.#endJudged = true
    this.#reader.end()
    this.#judgeMessages()
  }

  get #isInFinal(): boolean {
    const last = this.#reader.last
    return last !== undefined && !last.complete && (last.status >= 200 || last.status === 101)
  }

  #hasBegun(index: number): boolean {
    return index < this.#index || (index === this.#index && this.#offset > 0)
  }

  get #mayLeave(): boolean {
    if (this.#leaves === 'stays' || this.socket.peer.ended) return false
    if (this.#isInTunnel) return this.#tunnelSent === this.#tunnelText.length
    return this.hasAllAnswers
  }

  get #isInTunnel(): boolean {
    return this.#reader.last?.status === 101
  }

  /** How much may be sent now. */
  get #nextBytes(): number {
    const request = this.#plan[this.#index]
    if (this.socket.peer.ended || this.socket.peer.sawEnd || this.#isToldToClose) return 0
    if (request === undefined) return this.#isInTunnel ? this.#tunnelText.length - this.#tunnelSent : 0
    if (this.answered <= this.#index - this.#depth) return 0
    // Nothing goes behind a request that may change the protocol, or end the connection.
    if (this.#index > 0 && this.#plan[this.#index - 1]!.upgrades && this.answered < this.#index) return 0
    if (this.#isInTunnel) return 0
    const mayBody = !request.expectsContinue || this.#waitedForContinue > 3 || this.#sawContinue || this.answered > this.#index
    return (mayBody ? request.text.length : request.headBytes) - this.#offset
  }

  get #sawContinue(): boolean {
    return this.#reader.finals > this.#index || (this.#reader.last?.status === 100 && this.#reader.finals === this.#index)
  }

  #receive(text: string): void {
    this.#received += text.length
    if (this.#received >= this.#stallsAt) {
      this.gaveUp = true
      this.socket.peer.reads = false
    }
    this.#reader.push(text)
    this.#judgeMessages()
  }

  /** Looks at what is new. */
  #judgeMessages(): void {
    const { messages } = this.#reader
    for (; this.#checked < messages.length; this.#checked++) {
      const message = messages[this.#checked]!
      this.#judgeMessage(message)
      if (!message.complete) return
      this.#checkedBytes = 0
    }
  }

  #judgeMessage(message: ReferenceMessage): void {
    const final = messagesBefore(this.#reader.messages, this.#checked)
    const request = this.#plan[final]
    if (request === undefined) throw new ReferenceFault(`response ${final} to ${this.name}, which sent ${this.#plan.length} requests`)
    const tag = fieldOf(message.fields, 'x-tag')
    if (message.status < 200 && message.status !== 101) {
      assert.equal(tag, request.tag, `an interim response for ${tag} answers ${request.tag}`)
      return
    }
    if (tag === undefined) return this.#judgeLocal(message, request)
    assert.equal(tag, request.tag, `the response to ${tag} answers ${request.tag}`)
    assert.equal(request.fault === 'head', false, `${tag} is malformed and was answered by an origin`)
    const answer = this.#ledger.answerOf(tag, Number(fieldOf(message.fields, 'x-attempt')))
    assert.equal(message.status, answer.status)
    if (message.status === 101) {
      assert(answer.body.startsWith(this.#reader.tunnel), `the tunnel of ${tag} carries what its origin did not send`)
      return
    }
    assert(
      answer.body.startsWith(message.body.slice(this.#checkedBytes), this.#checkedBytes),
      `the body of ${tag} is not what its origin sent`,
    )
    this.#checkedBytes = message.body.length
    if (!message.complete) return
    assert(answer.isWhole, `the response to ${tag} looks whole, and its origin did not finish it`)
    if (message.framing !== 'none') assert.equal(message.body.length, answer.body.length, `the body of ${tag} is cut and looks whole`)
  }

  #judgeLocal(message: ReferenceMessage, request: PlannedRequest): void {
    const isAbout = `local ${message.status} for ${request.tag}: ${JSON.stringify(message.body)}`
    assert(fieldOf(message.fields, 'proxy-status') !== undefined, `${isAbout}: neither of an origin nor of the proxy`)
    assert(!this.#world.isCalm, isAbout)
    if (request.fault === 'head') assert([400, 408, 501, 503, 505].includes(message.status), isAbout)
  }

  #planRequest(tag: string, isLast: boolean): PlannedRequest {
    const { random } = this.#world
    const world = this.#world
    if (world.fault(0.12)) {
      if (random.chance(0.6))
        return {
          tag,
          method: 'GET',
          text: random.pick(malformedHeads)(tag),
          headBytes: 0,
          body: '',
          fault: 'head',
          expectsContinue: false,
          upgrades: false,
          isLast: true,
        }
      const head = `POST /${tag} HTTP/1.1\r\nHost: sim\r\nX-Tag: ${tag}\r\nTransfer-Encoding: chunked\r\n\r\n`
      return {
        tag,
        method: 'POST',
        text: head + random.pick(malformedBodies),
        headBytes: head.length,
        body: '',
        fault: 'body',
        expectsContinue: false,
        upgrades: false,
        isLast: true,
      }
    }
    const upgrades = isLast && random.chance(0.15)
    const method = upgrades ? 'GET' : random.pick(['GET', 'GET', 'HEAD', 'POST', 'POST', 'PUT', 'DELETE'])
    const framing =
      upgrades || method === 'HEAD' || method === 'GET' ? 'none' : random.pick(['none', 'length', 'length', 'chunked', 'chunked'])
    const minor = !upgrades && framing !== 'chunked' && random.chance(0.15) ? 0 : 1
    const closes = random.chance(0.1)
    const persists = minor === 1 ? !closes : random.chance(0.5)
    const expectsContinue = minor === 1 && framing !== 'none' && random.chance(0.2)
    const body = framing === 'none' ? '' : makeBody(tag, world.bodyBytes())
    const target = random.chance(0.15) ? `http://sim/${tag}` : `/${tag}`
    const fields = [
      random.pick(['Host: sim', 'host:sim', 'HOST:  sim \t']),
      random.pick([`X-Tag: ${tag}`, `x-tag:${tag}`, `X-Tag:\t ${tag} `]),
      ...(random.chance(0.2) ? ['Connection: X-Hop', 'X-Hop: 1', 'Keep-Alive: timeout=9'] : []),
      ...(upgrades ? ['Connection: Upgrade', 'Upgrade: sim'] : []),
      ...(!persists && minor === 1 ? ['Connection: close'] : []),
      ...(persists && minor === 0 ? ['Connection: keep-alive'] : []),
      ...(expectsContinue ? ['Expect: 100-continue'] : []),
      ...(framing === 'length' ? [`Content-Length: ${body.length}`] : []),
      ...(framing === 'chunked' ? ['Transfer-Encoding: chunked'] : []),
    ]
    const head = `${random.chance(0.05) ? '\r\n' : ''}${method} ${target} HTTP/1.${minor}\r\n${fields.join('\r\n')}\r\n\r\n`
    const wire = framing === 'chunked' ? world.chunked(body, random.chance(0.2) ? 'X-Trailer: 1\r\n' : '') : body
    return {
      tag,
      method,
      text: head + wire,
      headBytes: head.length,
      body,
      fault: 'none',
      expectsContinue,
      upgrades,
      isLast: isLast || !persists || upgrades,
    }
  }
}

/** Final responses before a place in the list. */
function messagesBefore(messages: readonly ReferenceMessage[], index: number): number {
  let finals = 0
  for (let i = 0; i < index; i++) if (messages[i]!.status >= 200) finals++
  return finals
}
