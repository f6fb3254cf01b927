/** Whatever a client sends: everybody who reads what reaches the upstream sees the same requests, and none that the client did not send. */
import { Buffer } from 'node:buffer'
import type { ByteSocket, SocketHandler } from '../../lib/net/byte-socket.ts'
import type { SimulatedSocket } from '../../test/sim/simulated-socket.ts'
import { fieldOf, ReferenceFault, ReferenceReader, type ReferenceMessage } from '../../test/support/reference-parser.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { checkAnswers, isBeyondReference } from '../answer-check.ts'
import { EngineLease } from '../engine-lease.ts'
import { EngineRun, realParts, TamperedSocket, type OriginEnd, type RunParts } from '../engine-run.ts'
import { readWithNode, type NodeMessage } from '../node-parser.ts'
import { toText } from '../octets.ts'
import { expect, expectSame, Violation, type Canary, type FuzzTarget } from '../target.ts'

/** A request as both readers see it. */
interface Seen {
  readonly method: string
  readonly target: string
  readonly fields: readonly string[]
  readonly body: string
  readonly complete: boolean
}

function makeTarget(parts: RunParts): FuzzTarget {
  const lease = new EngineLease(16)
  return {
    name: 'smuggling',
    invariants: [
      'what reaches an upstream is a sequence of canonical requests, each of which has a response before the next one comes',
      'the reference reader and the parser of Node see the same requests in it, with the same bodies',
      'a request that is not whole ends with a reset, unless it was answered before it was whole',
      'where the parser of Node accepts what the client sent, these are the requests that it sees, in that order',
      'the client gets whole responses, the last one perhaps visibly cut',
      'nothing is left behind: no connection, no deadline, no parser slot',
    ],
    run(data, random) {
      const origins: Origin[] = []
      const plan = {
        options: {
          halfClosedClients: random.pick(['abort', 'serve'] as const),
          limits: { turnMessages: random.pick([1, 32]), lingerBytes: random.pick([0, 262_144]) },
        },
        client: data,
        clientEnding: random.pick(['waits', 'waits', 'waits', 'ends', 'resets'] as const),
        makeOrigin: (socket: SimulatedSocket) => {
          const origin = new Origin(socket, random)
          origins.push(origin)
          return origin
        },
      }
      lease.use((engine) => {
        const run = new EngineRun(plan, parts, engine, random)
        run.run()
        const seen = run.upstreams.map(({ socket, written }, index) => {
          const mayBeCut = socket.wasReset || socket.peer.sawReset || origins[index]!.hasAnsweredEarly
          return readRequests(written, origins[index]!.switched, mayBeCut)
        })
        if (seen.every((requests) => requests !== undefined)) judgeAgainstClient(seen.flat(), data)
        checkAnswers(run)
      })
    },
  }
}

/** Both readers, which have to agree; undefined for what the reference reader does not read. */
function readRequests(written: string, hasSwitched: boolean, mayBeCut: boolean): readonly Seen[] | undefined {
  const reader = new ReferenceReader('request')
  const node = readWithNode('request', Buffer.from(written, 'latin1'), { stopsAtUpgrade: hasSwitched })
  try {
    // What follows a switch is another protocol: the reader has to be told where it begins.
    if (hasSwitched) {
      for (let at = 0; at < written.length; at++) {
        reader.push(written[at]!)
        const { last } = reader
        if (last?.complete === true && fieldOf(last.fields, 'upgrade') !== undefined && reader.messages.length === node.messages.length)
          break
      }
    } else reader.push(written)
  } catch (error) {
    if (error instanceof ReferenceFault && isBeyondReference(error, 'request')) return undefined
    throw new Violation(`what reaches the upstream is no sequence of requests: ${String(error)}\n  ${JSON.stringify(written)}`, {
      cause: error,
    })
  }
  expect(node.fault === '', () => `Node refuses what reaches the upstream with ${node.fault}: ${JSON.stringify(written)}`)
  const seen = reader.messages.map(ofReference)
  expectSame(node.messages.map(ofNode), seen, 'Node and the reference reader see different requests')
  expect(reader.isAtBoundary || mayBeCut, () => `a request is cut and not reset: ${reader.describe()}`)
  return seen
}

function ofReference({ method, target, fields, body, complete }: ReferenceMessage): Seen {
  return { method, target, fields: fields.flat(), body, complete }
}

function ofNode({ method, target, rawFields, body, complete }: NodeMessage): Seen {
  return { method, target, fields: rawFields.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : text)), body, complete }
}

/** The proxy may have refused what Node accepts. What both accept they have to read in the same way. */
function judgeAgainstClient(seen: readonly Seen[], data: Uint8Array): void {
  // llhttp takes a tab for a part of the coding; white space is no part of a value.
  if (/^transfer-encoding:.*\t/im.test(toText(data))) return
  const { messages, fault } = readWithNode('request', data)
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

function isAnsweredHere({ method, rawFields }: NodeMessage): boolean {
  const at = rawFields.findIndex((text, index) => index % 2 === 0 && text.toLowerCase() === 'max-forwards')
  return (method === 'OPTIONS' || method === 'TRACE') && at >= 0 && /^0+$/.test(rawFields[at + 1]!.trim())
}

function originForm({ method, target }: NodeMessage): string {
  const path = /^https?:\/\/[^/?#]*(.*)$/i.exec(target)?.[1]
  if (path === undefined) return target
  if (path === '' && method === 'OPTIONS') return '*'
  return path.startsWith('/') ? path : `/${path}`
}

/** Answers every request that has come whole; now and then too early, with an end, or with a switch when one is offered. */
class Origin implements OriginEnd {
  switched = false
  hasAnsweredEarly = false
  readonly #socket: SimulatedSocket
  readonly #random: SeededRandom
  readonly #reader = new ReferenceReader('request')
  #answered = 0
  #out = ''
  #ends = false

  constructor(socket: SimulatedSocket, random: SeededRandom) {
    this.#socket = socket
    this.#random = random
    socket.peer.onBytes = (text) => this.#receive(text)
  }

  get canAct(): boolean {
    const { peer } = this.#socket
    return peer.canSend && !this.#socket.isConnecting && (this.#out !== '' || this.#ends || peer.sawEnd)
  }

  act(): void {
    const { peer } = this.#socket
    if (this.#out !== '') {
      peer.send(this.#out)
      this.#out = ''
    } else peer.end()
  }

  #receive(text: string): void {
    try {
      this.#reader.push(text)
    } catch (error) {
      if (error instanceof ReferenceFault && isBeyondReference(error, 'request')) return this.#socket.peer.reset()
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
    const upgrade = fieldOf(message.fields, 'upgrade')?.split(',')[0]?.trim()
    if (upgrade !== undefined && message.complete && this.#random.chance(0.5)) {
      this.switched = true
      this.#out += `HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: ${upgrade}\r\n\r\nhello`
      this.#reader.becomeTunnel()
      return
    }
    const body = message.method === 'HEAD' ? '' : 'ok'
    switch (this.#random.pick(['length', 'length', 'length', 'chunked', 'empty', 'close'] as const)) {
      case 'length':
        this.#out += `HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${body}`
        return
      case 'chunked':
        this.#out += `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body === '' ? '' : '2\r\nok\r\n0\r\n\r\n'}`
        return
      case 'empty':
        this.#out += 'HTTP/1.1 204 No Content\r\n\r\n'
        return
      case 'close':
        this.#out += `HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n${body}`
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
