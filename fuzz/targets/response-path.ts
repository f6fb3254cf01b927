/** Whatever an origin sends: the client gets whole responses, and one that was cut short never looks whole. */
import { Buffer } from 'node:buffer'
import { SimulatedSocket } from '../../test/sim/simulated-socket.ts'
import { fieldOf, type ReferenceReader } from '../../test/support/reference-parser.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { checkAnswers } from '../answer-check.ts'
import { EngineLease } from '../engine-lease.ts'
import { EngineRun, realParts, TamperedSocket, type OriginEnd, type RunParts, type UpstreamRecord } from '../engine-run.ts'
import { readWithNode } from '../node-parser.ts'
import { toBytes, toText } from '../octets.ts'
import { expect, expectSame, type Canary, type FuzzTarget } from '../target.ts'

type Ending = 'none' | 'end' | 'reset'

const requests: readonly string[] = [
  'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n',
  'HEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi',
  'PUT /4 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n',
  'GET /5 HTTP/1.0\r\n\r\n',
  'GET /6 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
  'GET /7 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, foo/2\r\n\r\n',
  'GET /8 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
]

function makeTarget(parts: RunParts): FuzzTarget {
  const lease = new EngineLease(16)
  return {
    name: 'response-path',
    invariants: [
      'what the client gets is a sequence of whole canonical responses, the last one perhaps visibly cut',
      'a clean end comes only where the response of the origin had its end',
      'where the parser of Node reads the response of the origin too, the client gets that status and that body',
      'the octets of a tunnel are those of the origin',
      'nothing is left behind: no connection, no deadline, no parser slot',
    ],
    run(data, random) {
      const sent = Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, () => random.pick(requests))
      const ending = random.pick(['none', 'end', 'end', 'reset'] as const)
      const plan = {
        options: { pool: { connections: random.pick([1, 256]) } },
        clients: [{ bytes: toBytes(sent.join('')), ending: 'waits' as const }],
        makeOrigin: ({ socket }: UpstreamRecord) => new Origin(socket, toText(data), ending, random),
      }
      lease.use((engine) => {
        const run = new EngineRun(plan, parts, engine, random)
        run.run()
        const reader = checkAnswers(run.clients[0]!)
        if (sent.length === 1 && reader !== undefined) judgeOne(run, reader, sent[0]!.startsWith('HEAD '))
      })
    },
  }
}

/** One request, one response: what Node makes of the octets of the origin is what the client has to get. */
function judgeOne(run: EngineRun, reader: ReferenceReader, toHead: boolean): void {
  const final = reader.messages.find(({ status }) => status >= 200 || status === 101)
  if (final === undefined || run.upstreams.length === 0) return
  // A retry is answered by the last connection.
  const { delivered, endDelivered } = run.upstreams.at(-1)!
  if (final.status === 101) {
    expect(behindSwitch(delivered).startsWith(reader.tunnel), () => `the tunnel carries ${JSON.stringify(reader.tunnel)}`)
    return
  }
  // llhttp takes a tab for a part of the coding, and reads such a body up to the end of the connection; white space is no part of a value.
  if (/^transfer-encoding:.*\t/im.test(delivered)) return
  const { summaries, socket } = run.clients[0]!
  const [summary] = summaries
  if (summary!.error !== '' && final.status !== statusOf(delivered) && fieldOf(final.fields, 'proxy-status') !== undefined) return
  const { messages, fault } = readWithNode('response', Buffer.from(delivered, 'latin1'), {
    isToHead: () => toHead,
    hasEnded: endDelivered,
    stopsAtUpgrade: true,
  })
  const told = messages.find(({ status }) => status >= 200)
  // Node refuses what the proxy accepts, for instance a tab beside a length; or it found its fault behind the response.
  if (told === undefined || (fault !== '' && !told.complete)) return
  const wasCut = socket.peer.sawReset || !socket.peer.sawEnd
  if (summary!.error !== '' && fieldOf(final.fields, 'proxy-status') !== undefined && !told.complete) return
  expectSame(final.status, told.status, 'the status')
  expect(told.body.startsWith(final.body), () => `the client gets ${JSON.stringify(final.body)} of ${JSON.stringify(told.body)}`)
  const looksWhole = final.complete || (final.framing === 'close' && !wasCut)
  if (looksWhole && !toHead) expectSame([final.body, true], [told.body, told.complete], 'a response that looks whole')
}

/** What follows the head of the 101, before which interim responses may have come. */
function behindSwitch(delivered: string): string {
  let rest = delivered
  for (;;) {
    const isSwitch = /^HTTP\/1\.[01] 101/.test(rest)
    const headEnd = rest.indexOf('\r\n\r\n')
    if (headEnd < 0) return ''
    rest = rest.slice(headEnd + 4)
    if (isSwitch) return rest
  }
}

function statusOf(delivered: string): number {
  return Number(/^HTTP\/1\.[01] ([2-5][0-9]{2})/.exec(delivered)?.[1] ?? 0)
}

/** Says what it has to say, in pieces, when a request has come or at once. */
class Origin implements OriginEnd {
  readonly #socket: SimulatedSocket
  readonly #random: SeededRandom
  readonly #ending: Ending
  readonly #hurries: boolean
  #out: string
  #wasAsked = false
  #isDone = false

  constructor(socket: SimulatedSocket, text: string, ending: Ending, random: SeededRandom) {
    this.#socket = socket
    this.#random = random
    this.#ending = ending
    this.#hurries = random.chance(0.05)
    this.#out = text
    socket.peer.onBytes = () => void (this.#wasAsked = true)
  }

  get canAct(): boolean {
    const { peer } = this.#socket
    if (!peer.canSend || this.#socket.isConnecting) return false
    if (!this.#wasAsked && !this.#hurries) return peer.sawEnd
    return this.#out !== '' || !this.#isDone || peer.sawEnd
  }

  act(): void {
    const { peer } = this.#socket
    if (this.#out === '' || (!this.#wasAsked && !this.#hurries)) {
      this.#isDone = true
      if (peer.sawEnd || this.#ending === 'end') peer.end()
      else if (this.#ending === 'reset') peer.reset()
      return
    }
    const piece = this.#out.slice(0, this.#random.chance(0.5) ? this.#out.length : this.#random.integer(1, this.#out.length))
    this.#out = this.#out.slice(piece.length)
    peer.send(piece)
  }
}

export const responsePath = makeTarget(realParts)

/** Closes where it should cut. */
class SoftSocket extends SimulatedSocket {
  override reset(): void {
    this.end()
    this.destroy()
  }
}

function withClientWrites(tamper: (text: string) => string): FuzzTarget {
  return makeTarget({
    ...realParts,
    makeClientSocket: (remote, windowBytes, buffer) => new TamperedSocket(remote, windowBytes, buffer, true, tamper),
  })
}

export const responsePathCanaries: readonly Canary[] = [
  {
    bug: 'a response that breaks off ends like one that is whole',
    target: makeTarget({
      ...realParts,
      makeClientSocket: (remote, windowBytes, buffer) => new SoftSocket(remote, windowBytes, buffer, true),
    }),
  },
  { bug: 'a status of 304 becomes 200', target: withClientWrites((text) => text.replace(/^HTTP\/1.1 304 /, 'HTTP/1.1 200 ')) },
  { bug: 'trailers are passed on without a last chunk', target: withClientWrites((text) => text.replace(/\r\n0\r\n(?=[^\r])/, '\r\n')) },
]
