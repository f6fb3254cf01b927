/**
 * A hostile client, a hostile origin and harmless clients that share its connections, all at once. The input is what the hostile client sends,
 * 0x1e, the answers of the origin with 0x1d between them, 0x1e, and the schedule: who goes next, and how far.
 */
import { fieldOf, ReferenceFault, ReferenceReader, type ReferenceMessage } from '../../test/support/reference-parser.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { MessageParser, ParserState } from '../../native-free-parser/index.ts'
import { TimerWheel } from '../../lib/core/timers.ts'
import { ConnectionState, UpstreamConnection } from '../../lib/upstream/connection.ts'
import { Pool } from '../../lib/upstream/pool.ts'
import { checkAnswers, isBeyondReference } from '../answer-check.ts'
import { ByteRandom } from '../byte-random.ts'
import { checkDelivery, checkIsolation, checkReuse, tagName } from '../delivery-check.ts'
import { EngineLease } from '../engine-lease.ts'
import { EngineRun, realParts, type ClientPlan, type OriginEnd, type RunParts, type RunPlan, type UpstreamRecord } from '../engine-run.ts'
import { toBytes, toText } from '../octets.ts'
import { checkRequests } from '../request-check.ts'
import { withMember } from '../sabotage.ts'
import { Violation, type Canary, type FuzzTarget } from '../target.ts'

const partEnd = '\x1e'
const answerEnd = '\x1d'

/** Of the harmless clients; the hostile one does not know it. */
const clientName = 'X-Client-Of-The-Run'

function makeTarget(parts: RunParts): FuzzTarget {
  const lease = new EngineLease(32)
  return {
    name: 'whole-exchange',
    invariants: [
      'what reaches an upstream is a sequence of canonical requests, of which all readers see the same, the last one perhaps cut',
      'what a client gets is a sequence of whole canonical responses, of which all readers see the same, the last one perhaps visibly cut',
      'each response goes to the request that it answers, whoever shares the connection',
      'a connection is used again only when what came over it is a whole response to each request, and nothing else',
      'unless it is asked for otherwise, no client gets a connection that carried the body or the HEAD of another one',
      'nothing is left behind: no connection, no deadline, no waiter, no parser slot',
    ],
    run(data, random) {
      const [hostile = '', answers = '', schedule = ''] = toText(data).split(partEnd)
      const chance = new ByteRandom(toBytes(schedule), random.integer(0, 0x7fff_ffff))
      const origins: Origin[] = []
      const reuseAfterBody = chance.pick(['same-client', 'anyone'] as const)
      const plan: RunPlan = {
        options: {
          reuseAfterBody,
          desync: { quarantineAfter: chance.pick([0, 1, 3]) },
          halfClosedClients: chance.pick(['abort', 'serve'] as const),
          pool: { connections: chance.pick([1, 1, 2, 256]), waiting: chance.pick([0, 1, 100]) },
          limits: {
            turnMessages: chance.pick([1, 32]),
            lingerBytes: chance.pick([0, 262_144]),
            replayBytes: chance.pick([0, 100, 1_048_576]),
          },
        },
        clients: [
          { bytes: toBytes(hostile), ending: chance.pick(['waits', 'waits', 'ends', 'resets'] as const) },
          ...Array.from({ length: chance.integer(0, 2) }, (_, index) => makeHarmless(index + 1, chance)),
        ],
        makeOrigin: (upstream) => {
          const origin = new Origin(upstream, answers === '' ? [] : answers.split(answerEnd), chance)
          origins.push(origin)
          return origin
        },
        clientOf: ({ fields }) => Number(fieldOf(fields, clientName.toLowerCase()) ?? 0),
        onArrival: (upstream) => {
          checkReuse(upstream)
          if (reuseAfterBody === 'same-client') checkIsolation(upstream)
          upstream.arrivals.at(-1)!.isDoubtful = origins[upstream.index]!.isAhead
        },
      }
      lease.use((engine) => {
        const run = new EngineRun(plan, parts, engine, chance)
        run.run()
        for (const upstream of run.upstreams) {
          const { socket, arrivals, delivered } = upstream
          const last = arrivals.at(-1)
          const isAnswered = last !== undefined && (last.isDoubtful || delivered.length > last.deliveredBytes)
          checkRequests(upstream, socket.wasReset || socket.peer.sawReset || isAnswered, random)
        }
        for (const client of run.clients) {
          const reader = checkAnswers(client)
          if (reader !== undefined) checkDelivery(run, client, reader)
        }
      })
    },
  }
}

function makeHarmless(index: number, random: SeededRandom): ClientPlan {
  const requests = Array.from({ length: random.integer(1, 3) }, (_, number) => {
    const line = `/${index}/${number} HTTP/1.1\r\nHost: harmless\r\n${clientName}: ${index}\r\n`
    return random.pick([
      `GET ${line}\r\n`,
      `GET ${line}\r\n`,
      `HEAD ${line}\r\n`,
      `POST ${line}Content-Length: 4\r\n\r\nbody`,
      `POST ${line}Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n`,
    ])
  })
  return { bytes: toBytes(requests.join('')), ending: 'waits' }
}

/** Says what the input has for it, marked with the number of the arrival, or answers well; waits for whole requests or does not. */
class Origin implements OriginEnd {
  readonly #upstream: UpstreamRecord
  readonly #answers: readonly string[]
  readonly #random: SeededRandom
  readonly #reader = new ReferenceReader('request')
  #answered = 0
  #out = ''
  #sentBytes = 0
  #ending: 'none' | 'end' | 'reset' = 'none'
  #strays = 1

  constructor(upstream: UpstreamRecord, answers: readonly string[], random: SeededRandom) {
    this.#upstream = upstream
    this.#answers = answers
    this.#random = random
    upstream.socket.peer.onBytes = (text) => this.#receive(text)
  }

  get canAct(): boolean {
    const { socket } = this.#upstream
    if (!socket.peer.canSend || socket.isConnecting) return false
    return this.#out !== '' || this.#ending !== 'none' || socket.peer.sawEnd || this.#strays > 0
  }

  /** There is something that the proxy has not read yet, or will be, in answer to a request before the last one. */
  get isAhead(): boolean {
    const { arrivals, delivered } = this.#upstream
    return this.#out !== '' || this.#sentBytes > delivered.length || this.#answered < arrivals.length - 1
  }

  act(): void {
    const { peer } = this.#upstream.socket
    if (this.#out !== '') {
      const piece = this.#out.slice(0, this.#random.chance(0.6) ? this.#out.length : this.#random.integer(1, this.#out.length))
      this.#out = this.#out.slice(piece.length)
      this.#send(piece)
    } else if (this.#ending === 'reset') peer.reset()
    else if (this.#ending === 'end' || peer.sawEnd) peer.end()
    else {
      this.#strays--
      // Unasked, or nearly so: the request that it may meet on its way is not to blame.
      const last = this.#upstream.arrivals.at(-1)
      if (last === undefined || this.#random.chance(0.8)) return
      last.isDoubtful = true
      this.#send(this.#pickAnswer())
    }
  }

  #send(text: string): void {
    this.#sentBytes += text.length
    this.#upstream.socket.peer.send(text)
  }

  #receive(text: string): void {
    // Behind a switch it is another protocol.
    if (this.#upstream.httpBytes !== undefined) return
    try {
      this.#reader.push(text)
    } catch (error) {
      if (error instanceof ReferenceFault && isBeyondReference(error, 'request')) return this.#upstream.socket.peer.reset()
      throw new Violation(`an origin is sent what is no request: ${String(error)}`, { cause: error })
    }
    for (; this.#answered < this.#reader.messages.length; this.#answered++) {
      const message = this.#reader.messages[this.#answered]!
      if (!message.complete && !this.#random.chance(0.1)) return
      this.#answer(message)
    }
  }

  #answer(message: ReferenceMessage): void {
    const isGood = this.#answers.length === 0 || this.#random.chance(0.4)
    const text = isGood ? goodAnswer(message, this.#random) : this.#pickAnswer()
    const { number } = this.#upstream.arrivals[this.#answered]!
    this.#out += text.replace(/HTTP\/1\.[01] [0-9]{3}[^\r\n]*\r\n/g, `$&${tagName}: ${number}\r\n`)
    if (!isGood) this.#ending = this.#random.pick(['none', 'none', 'end', 'reset'] as const)
  }

  #pickAnswer(): string {
    return this.#answers.length === 0 ? 'HTTP/1.1 204 Stray\r\n\r\n' : this.#random.pick(this.#answers)
  }
}

function goodAnswer({ method }: ReferenceMessage, random: SeededRandom): string {
  const isHead = method === 'HEAD'
  return random.pick([
    'HTTP/1.1 204 No Content\r\n\r\n',
    `HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${isHead ? '' : 'good'}`,
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${isHead ? '' : '4\r\ngood\r\n0\r\n\r\n'}`,
  ])
}

export const wholeExchange = makeTarget(realParts)

/** A connection whose response is complete and whose request is not is given up, because its server may wait for the rest: here it is kept. */
function withEarlyReuse(): FuzzTarget {
  const pools: { last?: Pool } = {}
  const complete = new WeakSet<UpstreamConnection>()
  const knowingPools = withMember(
    wholeExchange,
    Pool.prototype,
    'acquire',
    (acquire) =>
      function (this: Pool, ...args: never[]) {
        pools.last = this
        return acquire.apply(this, args)
      },
  )
  const knowingResponses = withMember(
    knowingPools,
    UpstreamConnection.prototype,
    'onMessageComplete',
    (onMessageComplete) =>
      function (this: UpstreamConnection) {
        complete.add(this)
        onMessageComplete.apply(this)
      },
  )
  return withMember(
    knowingResponses,
    UpstreamConnection.prototype,
    'terminate',
    (terminate) =>
      function (this: UpstreamConnection) {
        if (this.state !== ConnectionState.BUSY || !complete.delete(this)) return terminate.apply(this)
        Object.defineProperty(this, 'isReusable', { value: true })
        pools.last!.release(this)
      },
  )
}

/** Forgets who was the first to use a connection. */
function withoutReservations(): FuzzTarget {
  return withMember(
    wholeExchange,
    Pool.prototype,
    'release',
    (release) =>
      function (this: Pool, connection: UpstreamConnection) {
        connection.reservedFor = undefined
        release.apply(this, [connection] as never[])
      },
  )
}

export const wholeExchangeCanaries: readonly Canary[] = [
  {
    bug: 'a connection goes back to the pool whatever came over it',
    target: withMember(wholeExchange, UpstreamConnection.prototype, 'isReusable', () => () => true),
  },
  { bug: 'a connection that is given up behind its response goes back to the pool', target: withEarlyReuse() },
  { bug: 'what is reserved for a client is given to another one', target: withoutReservations() },
  {
    bug: 'a deadline stays in the wheel when its owner is gone',
    target: withMember(wholeExchange, TimerWheel.prototype, 'remove', () => () => {}),
  },
  {
    bug: 'a parser that is disposed of inside a head keeps its slot',
    target: withMember(
      wholeExchange,
      MessageParser.prototype,
      'dispose',
      (dispose) =>
        function (this: MessageParser) {
          if (this.state !== ParserState.HEAD) dispose.apply(this)
        },
    ),
  },
  {
    bug: 'what an idle connection says is not heard',
    target: withMember(
      wholeExchange,
      UpstreamConnection.prototype,
      'onData',
      (onData) =>
        function (this: UpstreamConnection, ...args: never[]) {
          if (this.state !== ConnectionState.IDLE) onData.apply(this, args)
        },
    ),
  },
]
