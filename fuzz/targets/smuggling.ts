/** Whatever a client sends: everybody who reads what reaches the upstream sees the same requests, and none that the client did not send. */
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { ByteSocket, SocketHandler } from '../../lib/net/byte-socket.ts'
import type { SimulatedSocket } from '../../test/sim/simulated-socket.ts'
import { fieldOf, ReferenceFault, ReferenceReader, type ReferenceMessage } from '../../test/support/reference-parser.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { checkAnswers, isBeyondReference } from '../answer-check.ts'
import { checkDelivery, checkReuse, tagName } from '../delivery-check.ts'
import { EngineLease } from '../engine-lease.ts'
import { EngineRun, realParts, TamperedSocket, type OriginEnd, type RunParts, type RunPlan, type UpstreamRecord } from '../engine-run.ts'
import type { ForeignMessage, ForeignReading } from '../foreign-reading.ts'
import { readWithNode } from '../node-parser.ts'
import { toText } from '../octets.ts'
import { checkRequests, type SeenRequest } from '../request-check.ts'
import { expect, expectSame, Violation, type Canary, type FuzzTarget } from '../target.ts'

function makeTarget(parts: RunParts): FuzzTarget {
  const lease = new EngineLease(16)
  return {
    name: 'smuggling',
    invariants: [
      'what reaches an upstream is a sequence of canonical requests, each of which has a response before the next one comes',
      'the reference reader, the parser of Node, that of undici and lenient readers of several kinds see the same requests in it, with the same bodies',
      'a request that is not whole ends with a reset, unless it was answered before it was whole',
      'where the parser of Node accepts what the client sent, these are the requests that it sees, in that order',
      'each response goes to the request that it answers, and an origin that answered it saw the request that the client sent',
      'a connection that said more than it was asked is not used again',
      'the client gets whole responses, the last one perhaps visibly cut, and the reference reader, Node and undici see the same ones',
      'nothing is left behind: no connection, no deadline, no parser slot',
    ],
    run(data, random) {
      const origins: Origin[] = []
      const plan: RunPlan = {
        options: {
          halfClosedClients: random.pick(['abort', 'serve'] as const),
          limits: { turnMessages: random.pick([1, 32]), lingerBytes: random.pick([0, 262_144]) },
        },
        clients: [{ bytes: data, ending: random.pick(['waits', 'waits', 'waits', 'ends', 'resets'] as const) }],
        makeOrigin: (upstream) => {
          const origin = new Origin(upstream, random)
          origins.push(origin)
          return origin
        },
        onArrival: (upstream) => {
          checkReuse(upstream)
          upstream.arrivals.at(-1)!.isDoubtful = origins[upstream.index]!.isAhead
        },
      }
      lease.use((engine) => {
        const run = new EngineRun(plan, parts, engine, random)
        run.run()
        const [client] = run.clients
        const seen = run.upstreams.map((upstream, index) => {
          const { socket, arrivals } = upstream
          // A response too many, if it is taken for the answer, is an early one.
          const hasAnsweredEarly = origins[index]!.hasAnsweredEarly || arrivals.at(-1)?.isDoubtful === true
          const mayBeCut = socket.wasReset || socket.peer.sawReset || hasAnsweredEarly
          return checkRequests(upstream, mayBeCut, random)
        })
        if (seen.every((requests) => requests !== undefined)) checkAgainstClient(seen.flat(), data)
        const reader = checkAnswers(client!)
        if (reader === undefined) return
        checkDelivery(run, client!, reader)
        // Where an origin said too much, what followed may be one answer late.
        if (!run.upstreams.some(({ arrivals }) => arrivals.some(({ isDoubtful }) => isDoubtful))) checkDigests(reader, data)
      })
    },
  }
}

/** Requests of the client that are forwarded, as Node sees them; undefined where it is known to see something else. */
function requestsOfClient(data: Uint8Array): ForeignReading | undefined {
  // llhttp takes a tab for a part of the coding; white space is no part of a value.
  return /^transfer-encoding:.*\t/im.test(toText(data)) ? undefined : readWithNode('request', data)
}

/** The proxy may have refused what Node accepts. What both accept they have to read in the same way. */
function checkAgainstClient(seen: readonly SeenRequest[], data: Uint8Array): void {
  const reading = requestsOfClient(data)
  if (reading === undefined) return
  const { messages, fault } = reading
  // Requests that never reach an upstream, because the proxy answers them itself.
  const candidates = messages.filter((message) => !isAnsweredHere(message))
  for (const [index, request] of seen.entries()) {
    const sent = candidates[index]
    if (sent === undefined) return
    expectSame([request.method, request.target], [sent.method, originForm(sent)], `request ${index} and what the client sent`)
    // Node refuses more of what chunk extensions may be: then it says nothing about this body.
    if (!sent.complete && fault !== '') return
    expect(
      sent.body.startsWith(request.body),
      () => `the body of request ${index} is ${JSON.stringify(request.body)} and was ${JSON.stringify(sent.body)}`,
    )
    if (request.complete)
      expect(sent.complete && sent.body === request.body, () => `request ${index} is whole upstream, and was not when it was sent`)
  }
}

/** From end to end: the digest in the response to each request is that of the request as it was sent. */
function checkDigests(reader: ReferenceReader, data: Uint8Array): void {
  const reading = requestsOfClient(data)
  if (reading === undefined) return
  const finals = reader.messages.filter(({ status }) => status >= 200)
  for (const [index, response] of finals.entries()) {
    const digest = fieldOf(response.fields, tagName.toLowerCase())?.split('.')[1]
    const sent = reading.messages[index]
    if (digest === undefined || sent?.complete !== true) continue
    if (digest === 'early' || digest === 'stray') continue
    expectSame(digest, digestOf(sent.method, originForm(sent), sent.body), `response ${index} tells of the request that its origin saw`)
  }
}

function digestOf(method: string, target: string, body: string): string {
  return createHash('sha1').update(`${method} ${target} ${body}`, 'latin1').digest('hex').slice(0, 12)
}

function isAnsweredHere({ method, rawFields }: ForeignMessage): boolean {
  const at = rawFields.findIndex((text, index) => index % 2 === 0 && text.toLowerCase() === 'max-forwards')
  return (method === 'OPTIONS' || method === 'TRACE') && at >= 0 && /^0+$/.test(rawFields[at + 1]!.trim())
}

function originForm({ method, target }: ForeignMessage): string {
  const path = /^https?:\/\/[^/?#]*(.*)$/i.exec(target)?.[1]
  if (path === undefined) return target
  if (path === '' && method === 'OPTIONS') return '*'
  return path.startsWith('/') ? path : `/${path}`
}

/**
 * Answers every request that has come whole, with its number and its digest; now and then too early, with an end, with a switch when one is
 * offered, or with a second response that nobody asked for.
 */
class Origin implements OriginEnd {
  hasAnsweredEarly = false
  readonly #upstream: UpstreamRecord
  readonly #random: SeededRandom
  readonly #reader = new ReferenceReader('request')
  #answered = 0
  #out = ''
  #sentBytes = 0
  #ends = false

  constructor(upstream: UpstreamRecord, random: SeededRandom) {
    this.#upstream = upstream
    this.#random = random
    upstream.socket.peer.onBytes = (text) => this.#receive(text)
  }

  get canAct(): boolean {
    const { socket } = this.#upstream
    return socket.peer.canSend && !socket.isConnecting && (this.#out !== '' || this.#ends || socket.peer.sawEnd)
  }

  /** There is something that the proxy has not read yet, or will be, in answer to a request before the last one. */
  get isAhead(): boolean {
    const { arrivals, delivered } = this.#upstream
    return this.#out !== '' || this.#sentBytes > delivered.length || this.#answered < arrivals.length - 1
  }

  act(): void {
    const { peer } = this.#upstream.socket
    if (this.#out !== '') {
      peer.send(this.#out)
      this.#sentBytes += this.#out.length
      this.#out = ''
    } else peer.end()
  }

  #receive(text: string): void {
    try {
      this.#reader.push(text)
    } catch (error) {
      if (error instanceof ReferenceFault && isBeyondReference(error, 'request')) return this.#upstream.socket.peer.reset()
      throw new Violation(`an origin is sent what is no request: ${String(error)}`, { cause: error })
    }
    for (; this.#answered < this.#reader.messages.length; this.#answered++) {
      const message = this.#reader.messages[this.#answered]!
      if (!message.complete && !this.#random.chance(0.03)) {
        if (fieldOf(message.fields, 'expect') !== undefined && this.#random.chance(0.5)) this.#out = 'HTTP/1.1 100 Continue\r\n\r\n'
        return
      }
      this.#answer(message)
    }
  }

  #answer(message: ReferenceMessage): void {
    if (!message.complete) this.hasAnsweredEarly = true
    const { number } = this.#upstream.arrivals[this.#answered]!
    const tag = `${tagName}: ${number}.${message.complete ? digestOf(message.method, message.target, message.body) : 'early'}\r\n`
    const upgrade = fieldOf(message.fields, 'upgrade')?.split(',')[0]?.trim()
    if (upgrade !== undefined && message.complete && this.#random.chance(0.5)) {
      this.#out += `HTTP/1.1 101 Switching\r\n${tag}Connection: upgrade\r\nUpgrade: ${upgrade}\r\n\r\nhello`
      this.#reader.becomeTunnel()
      return
    }
    const body = message.method === 'HEAD' ? '' : 'ok'
    switch (this.#random.pick(['length', 'length', 'length', 'chunked', 'empty', 'close', 'two'] as const)) {
      case 'length':
        this.#out += `HTTP/1.1 200 OK\r\n${tag}Content-Length: 2\r\n\r\n${body}`
        return
      case 'chunked':
        this.#out += `HTTP/1.1 200 OK\r\n${tag}Transfer-Encoding: chunked\r\n\r\n${body === '' ? '' : '2\r\nok\r\n0\r\n\r\n'}`
        return
      case 'empty':
        this.#out += `HTTP/1.1 204 No Content\r\n${tag}\r\n`
        return
      case 'two':
        this.#out += `HTTP/1.1 204 No Content\r\n${tag}\r\nHTTP/1.1 200 OK\r\n${tagName}: ${number}.stray\r\nContent-Length: 0\r\n\r\n`
        return
      case 'close':
        this.#out += `HTTP/1.1 404 Not Found\r\n${tag}Connection: close\r\n\r\n${body}`
        this.#ends = true
    }
  }
}

export const smuggling = makeTarget(realParts)

/** A proxy that is none: hands octets on as they come. */
function makePipe(client: ByteSocket, connect: (handler: SocketHandler) => SimulatedSocket): SocketHandler {
  const waiting: Buffer[] = []
  let isConnected = false
  let upstream: SimulatedSocket | undefined
  const close = (): void => {
    client.destroy()
    upstream?.destroy()
  }
  const back: SocketHandler = {
    onConnect: () => {
      isConnected = true
      for (const piece of waiting) upstream!.write(piece)
    },
    onData: (bytes, start, end) => void client.write(Buffer.from(bytes.subarray(start, end))),
    onEnd: close,
    onDrain() {},
    onClose: close,
    onFault: close,
  }
  return {
    onConnect() {},
    onData: (bytes, start, end) => {
      const piece = Buffer.from(bytes.subarray(start, end))
      upstream ??= connect(back)
      if (isConnected) upstream.write(piece)
      else waiting.push(piece)
    },
    onEnd: close,
    onDrain() {},
    onClose: close,
    onFault: close,
  }
}

function withUpstreamWrites(tamper: (text: string) => string): FuzzTarget {
  return makeTarget({
    ...realParts,
    makeUpstreamSocket: (remote, windowBytes, buffer) => new TamperedSocket(remote, windowBytes, buffer, false, tamper),
  })
}

export const smugglingCanaries: readonly Canary[] = [
  {
    bug: 'octets go through as they come',
    target: makeTarget({ ...realParts, makeConnection: (socket, _environment, connect) => makePipe(socket, connect) }),
  },
  {
    bug: 'Content-Length stands beside Transfer-Encoding',
    target: withUpstreamWrites((text) => text.replace('Transfer-Encoding: chunked\r\n', '$&Content-Length: 3\r\n')),
  },
  {
    bug: 'a length loses its last digit',
    target: withUpstreamWrites((text) => text.replace(/(Content-Length: [0-9]+)[0-9]\r\n/i, '$1\r\n')),
  },
  { bug: 'a query is decoded on its way', target: withUpstreamWrites((text) => text.replace(/^([A-Z]+ [^ ?]*)%2f/i, '$1/')) },
]
