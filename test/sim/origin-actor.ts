/** One connection at a simulated origin: judges every byte that the proxy sends, and answers as its temper wills. */
import assert from 'node:assert/strict'
import { fieldOf, ReferenceReader, type ReferenceMessage } from '../support/reference-parser.ts'
import { makeBody, type Ledger, type OriginAnswer } from './ledger.ts'
import type { SimulatedSocket } from './simulated-socket.ts'
import type { World } from './world.ts'

type Ending = 'none' | 'end' | 'reset'

const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE'])

export class OriginActor {
  readonly name: string
  readonly socket: SimulatedSocket
  readonly #world: World
  readonly #ledger: Ledger
  /** What the proxy has written, at the moment of writing. */
  readonly #written = new ReferenceReader('request')
  /** What has arrived. */
  readonly #arrived = new ReferenceReader('request')
  #writtenSeen = 0
  #requestsBegun = 0
  #seen = 0
  #out = ''
  #ending: Ending = 'none'
  #answer: OriginAnswer | undefined
  #waitsForBody = false
  /** The answer does not end in the way it should. */
  #isFaulty = false
  #sentBytes = 0
  #deliveredBytes = 0
  /** Where the last answer ends, by the count of `#sentBytes`. */
  #answerEnd = 0
  /** The answer has no other end than that of the connection. */
  #endsWithConnection = false
  #endDelivered = false
  #tunnelTag = ''
  /** It never answers. */
  readonly #isSilent: boolean

  constructor(name: string, socket: SimulatedSocket, world: World, ledger: Ledger) {
    this.name = name
    this.socket = socket
    this.#world = world
    this.#ledger = ledger
    this.#isSilent = world.fault(0.05)
    socket.onWrite = (text) => this.#judgeWrite(text)
    socket.onDelivered = (text) => void (this.#deliveredBytes += text.length)
    socket.onEndDelivered = () => void (this.#endDelivered = true)
    socket.peer.onBytes = (text) => this.#receive(text)
  }

  get requestsSeen(): readonly ReferenceMessage[] {
    return this.#written.messages
  }

  get canAct(): boolean {
    const { peer } = this.socket
    if (!peer.canSend || this.socket.isConnecting) return false
    if (this.#out !== '') return !this.#waitsForBody
    return (this.#ending !== 'none' && !this.#waitsForBody) || peer.sawEnd || (this.#isIdle && !this.#world.isCalm)
  }

  act(): void {
    const { peer } = this.socket
    const world = this.#world
    if (this.#out !== '') {
      if (this.#waitsForBody) return
      if (world.fault(0.003)) return this.#breakOff()
      const piece = this.#out.slice(0, world.pieceBytes())
      this.#out = this.#out.slice(piece.length)
      this.#sentBytes += piece.length
      peer.send(piece)
      if (this.#sentBytes >= this.#answerEnd && !this.#endsWithConnection) this.#finish()
      return
    }
    if (this.#ending === 'end') {
      if (this.#sentBytes >= this.#answerEnd) this.#finish()
      return peer.end()
    }
    if (this.#ending === 'reset') return peer.reset()
    if (peer.sawEnd) return peer.end()
    // Idle, and tired of it.
    if (this.#isIdle && world.fault(0.02)) {
      const way = world.random.pick(['end', 'reset', 'stray'] as const)
      if (way === 'end') peer.end()
      else if (way === 'reset') peer.reset()
      else peer.send('HTTP/1.1 408 stray\r\nX-Tag: stray\nContent-Length: 0\r\n\r\n')
    }
  }

  get #isIdle(): boolean {
    return this.#answer === undefined && this.#arrived.isAtBoundary && this.#seen > 0 && this.#tunnelTag === ''
  }

  #finish(): void {
    if (this.#answer !== undefined && !this.#isFaulty) this.#answer.isWhole = true
    this.#answer = undefined
  }

  #breakOff(): void {
    this.#out = ''
    this.#isFaulty = true
    this.socket.peer.reset()
  }

  /** The proxy's side of the wire: what it writes must be right at the moment it is written. */
  #judgeWrite(text: string): void {
    const written = this.#written
    if (written.isAtBoundary && this.#tunnelTag === '') {
      this.#requestsBegun++
      if (this.#requestsBegun > 1) this.#judgeReuse()
    }
    written.push(text)
    for (; this.#writtenSeen < written.messages.length; this.#writtenSeen++) {
      const message = written.messages[this.#writtenSeen]!
      const request = this.#ledger.requestOf(fieldOf(message.fields, 'x-tag') ?? 'without a tag')
      assert.equal(message.method, request.method)
      assert.equal(message.target, `/${request.tag}`)
      assert.equal(fieldOf(message.fields, 'x-hop'), undefined, 'a field that was for one hop has passed')
      assert.notEqual(request.fault, 'head', `${request.tag} was refused and reached an upstream`)
      assert.equal(this.#writtenSeen, this.#requestsBegun - 1, 'a second request on a connection before the first one was answered')
      if (!message.complete) break
      this.#judgeRequest(message)
    }
    if (this.#tunnelTag !== '') {
      const mark = `${this.#tunnelTag.replace(/r[0-9]+q$/, '')}-tunnel`
      assert.equal(written.tunnel, makeBody(mark, written.tunnel.length), 'the tunnel carries what the client did not send')
    }
    const last = written.last
    if (last?.complete !== true && last !== undefined) this.#judgeBody(last)
  }

  #judgeRequest(message: ReferenceMessage): void {
    const request = this.#ledger.requestOf(fieldOf(message.fields, 'x-tag')!)
    assert.equal(request.fault, 'none', `${request.tag} is malformed and was sent whole`)
    this.#judgeBody(message)
    assert.equal(message.body.length, request.body.length, `the body of request ${request.tag} is cut and looks whole`)
  }

  #judgeBody(message: ReferenceMessage): void {
    const request = this.#ledger.requestOf(fieldOf(message.fields, 'x-tag')!)
    if (request.fault === 'none')
      assert(request.body.startsWith(message.body), `the body of request ${request.tag} is not what the client sent`)
  }

  /** A socket that comes out of the pool: nothing came after the last response, and nothing is missing. */
  #judgeReuse(): void {
    const where = `${this.name}, request ${this.#requestsBegun}`
    // Stray bytes that are not sent yet nobody can know of.
    assert(this.#answer === undefined, `${where}: reused before the response was sent`)
    assert.equal(this.#deliveredBytes, this.#answerEnd, `${where}: reused with bytes too many or too few`)
    assert(!this.#endDelivered, `${where}: reused after its end`)
    assert(!this.#isFaulty, `${where}: reused after a faulty response`)
    assert(!this.socket.isPaused, `${where}: reused and not read from`)
    assert.equal(this.socket.unsentBytes, 0, `${where}: reused with bytes of the request before`)
  }

  #receive(text: string): void {
    const arrived = this.#arrived
    arrived.push(text)
    if (this.#tunnelTag !== '') return
    for (; this.#seen < arrived.messages.length; this.#seen++) this.#plan(arrived.messages[this.#seen]!)
    if (this.#waitsForBody && arrived.last?.complete === true) this.#waitsForBody = false
  }

  #plan(message: ReferenceMessage): void {
    const world = this.#world
    const { random } = world
    const tag = fieldOf(message.fields, 'x-tag')!
    const attempt = this.#ledger.attemptsOf(tag)
    assert(attempt < (idempotent.has(message.method) ? world.arrivalsMax : 1), `${message.method} ${tag} was sent ${attempt + 1} times`)
    const request = this.#ledger.requestOf(tag)
    const mark = `X-Tag: ${tag}\r\nX-Attempt: ${attempt}\r\n`
    const offersUpgrade = fieldOf(message.fields, 'upgrade') !== undefined
    this.#isFaulty = false
    this.#waitsForBody = random.chance(0.75)
    if (offersUpgrade && random.chance(0.8)) {
      const body = makeBody('tunnel', world.bodyBytes())
      const answer: OriginAnswer = { tag, attempt, status: 101, body, isWhole: true }
      this.#ledger.answer(answer)
      this.#tunnelTag = tag
      this.#waitsForBody = false
      this.#arrived.becomeTunnel()
      this.#written.becomeTunnel()
      this.#out = `HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: sim\r\n${mark}\r\n${body}`
      this.#ending = random.pick(['none', 'end'])
      if (world.fault(0.2)) this.#ending = 'reset'
      return
    }
    const status = random.chance(0.7) ? 200 : random.pick(world.isCalm ? [204, 304] : [204, 304, 404, 500, 500])
    const hasBody = message.method !== 'HEAD' && status !== 204 && status !== 304
    const minor = random.chance(0.1) ? 0 : 1
    const body = makeBody(`${tag}/${attempt}`, world.bodyBytes())
    const framing =
      status === 204
        ? 'none'
        : minor === 0
          ? random.pick(['length', 'close'])
          : random.pick(['length', 'length', 'chunked', 'chunked', 'close'])
    const closes = framing === 'close' || random.chance(0.15)
    const answer: OriginAnswer = { tag, attempt, status, body: hasBody ? body : '', isWhole: false }
    this.#ledger.answer(answer)
    this.#answer = answer
    let text = ''
    if (request.expectsContinue && fieldOf(message.fields, 'expect') !== undefined && random.chance(0.7))
      text += `HTTP/1.1 100 Continue\r\n${mark}\r\n`
    // Fewer than the proxy takes.
    for (let count = 0; count < 8 && random.chance(0.1); count++) text += `HTTP/1.1 103 Early Hints\r\n${mark}Link: </a>\r\n\r\n`
    const fields = [
      random.pick([`X-Tag: ${tag}`, `x-tag:  ${tag} `]),
      `X-Attempt: ${attempt}`,
      ...(random.chance(0.1) ? ['Keep-Alive: timeout=3', 'Connection: x-hop', 'X-Hop: 1'] : []),
      ...(closes ? ['Connection: close'] : minor === 0 ? ['Connection: keep-alive'] : []),
      ...(framing === 'length' ? [`Content-Length: ${body.length}`] : framing === 'chunked' ? ['Transfer-Encoding: chunked'] : []),
    ]
    text += `HTTP/1.${minor} ${status}${random.chance(0.1) ? ' ' : ' Fine'}\r\n${fields.join('\r\n')}\r\n\r\n`
    if (hasBody) text += framing === 'chunked' ? world.chunked(body, random.chance(0.2) ? 'X-Trailer: 2\r\n' : '') : body
    // Stray bytes that are still on their way come first.
    const before = this.#out.length
    this.#answerEnd = this.#sentBytes + before + text.length
    this.#endsWithConnection = hasBody && framing === 'close'
    this.#ending = closes ? 'end' : 'none'
    if (this.#isSilent) {
      text = ''
      this.#ending = 'none'
    } else if (world.fault(0.2)) text = this.#spoil(text, mark, message.method === 'HEAD')
    this.#out += text
    // A body that is waited for by a client that waits for us never comes.
    if (request.expectsContinue && !message.complete) this.#waitsForBody = false
    if (message.complete) this.#waitsForBody = false
  }

  /** What is sent instead of a good answer. */
  #spoil(text: string, mark: string, toHead: boolean): string {
    const { random } = this.#world
    switch (random.pick(['reset', 'cut', 'malformed', 'extra'] as const)) {
      case 'reset':
        this.#ending = 'reset'
        return text.slice(0, random.integer(0, text.length))
      case 'cut':
        // Nobody can tell that a body which ends with the connection was to be longer.
        this.#ending = this.#endsWithConnection ? 'reset' : 'end'
        return text.slice(0, random.integer(0, text.length - 1))
      case 'malformed':
        this.#isFaulty = true
        this.#ending = random.pick(['none', 'end'])
        this.#answerEnd = Number.POSITIVE_INFINITY
        if (this.#answer !== undefined) this.#answer.status = 200
        return random.pick([
          `HTTP/1.1 200 OK\r\n${mark}Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc`,
          `HTTP/1.1 200 OK\r\n${mark}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
          `HTTP/1.1 200 OK\n${mark}Content-Length: 0\r\n\r\n`,
          `HTTP/1.1 200 OK\r\n${mark} folded\r\nContent-Length: 0\r\n\r\n`,
          `HTTP/1.1 101 Switching\r\n${mark}Connection: upgrade\r\nUpgrade: other\r\n\r\n`,
          `HTTP/1.1 99 Low\r\n${mark}Content-Length: 0\r\n\r\n`,
          'SSH-2.0-nothing\r\n',
          // To HEAD this would be a good answer, and something behind it.
          ...(toHead ? [] : [`HTTP/1.1 200 OK\r\n${mark}Transfer-Encoding: chunked\r\n\r\nzz\r\n`]),
        ])
      case 'extra':
        // The response itself is whole; what follows must not become the answer to another request.
        return this.#endsWithConnection ? text : `${text}stray bytes\r\n\r\n`
    }
  }
}
