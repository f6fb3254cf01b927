/**
 * The life cycle of exchanges as a whole: any sequence of what clients, the server and the operator can do, against a model of a few plain
 * fields. One server, one upstream connection at a time, one client at a time; the model says what state each is in, what was answered and
 * how many exchanges are over.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ExchangeStage } from '../support/exchange-stage.ts'

/** `last`: the client asks to close; `old`: HTTP/1.0; `bad`: breaks a rule. */
type Kind = 'get' | 'head' | 'post' | 'last' | 'old' | 'upgrade' | 'bad'

const bodyBytes = 4

const requests: Readonly<Record<Kind, string>> = {
  get: 'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  head: 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
  post: `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${bodyBytes}\r\n\r\n`,
  last: 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  old: 'GET / HTTP/1.0\r\nHost: a\r\n\r\n',
  upgrade: 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n',
  bad: 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
}

interface Model {
  /** Of the last client. */
  client: 'idle' | 'busy' | 'tunnel' | 'lingering' | 'closed'
  clientEnded: boolean
  /** Counts the clients. */
  clientNumber: number
  /** It is suspected of having brought a connection out of step: nothing more is taken from it. */
  isRetired: boolean
  /** Something has come from it. */
  hasSpoken: boolean
  readonly servesHalfClosed: boolean
  isDraining: boolean
  exchange: 'none' | 'waiting' | 'running' | 'discarding' | 'tunnel'
  kind: Kind
  requestLeft: number
  persists: boolean
  hasRetried: boolean
  /** Whole requests behind the one that is on. */
  ahead: Kind[]
  /** The final response has begun; Infinity: it ends with the connection. */
  responseBegun: boolean
  responseLeft: number
  /** Something has come over the upstream connection since the exchange began. */
  serverSpoke: boolean
  upstream:
    | {
        readonly index: number
        state: 'connecting' | 'idle' | 'busy' | 'tunnel'
        ended: boolean
        isReserved: boolean
        readonly users: number[]
      }
    | undefined
  /** Upstream sockets so far. */
  opened: number
  /** Final responses that clients got, in order. */
  finals: number[]
  /** Requests that were sent to servers. */
  forwarded: number
  summaries: number
}

// What the model does

function begin(model: Model, kind: Kind): void {
  model.client = 'busy'
  model.hasSpoken = true
  model.kind = kind
  model.requestLeft = kind === 'post' ? bodyBytes : 0
  model.persists = kind !== 'last' && kind !== 'old'
  model.hasRetried = false
  model.responseBegun = false
  model.responseLeft = 0
  if (kind === 'bad') {
    model.finals.push(400)
    return end(model, 'close')
  }
  acquire(model)
}

function acquire(model: Model): void {
  if (model.upstream?.state === 'idle') return run(model)
  model.exchange = 'waiting'
  model.upstream ??= { index: model.opened++, state: 'connecting', ended: false, isReserved: false, users: [] }
}

function run(model: Model): void {
  model.exchange = 'running'
  model.serverSpoke = false
  model.forwarded++
  model.upstream!.state = 'busy'
  model.upstream!.users.push(model.clientNumber)
  // Its server may have left a rest of this request unread: from now on it is this client's alone.
  if (model.kind === 'post' || model.kind === 'head') model.upstream!.isReserved = true
}

function end(model: Model, then: 'next' | 'close' | 'reset'): void {
  model.summaries++
  model.exchange = 'none'
  if (then === 'reset') model.client = 'closed'
  else if (then === 'next' && !model.isDraining && !model.isRetired) {
    model.client = 'idle'
    const next = model.ahead.shift()
    if (next !== undefined) begin(model, next)
    else if (model.clientEnded) model.client = 'closed'
  } else model.client = model.clientEnded ? 'closed' : 'lingering'
  if (model.client === 'closed' || model.client === 'lingering') model.ahead = []
}

/** The exchange cannot go on. `isClientsFault`: nothing more is taken from this client. */
function fail(model: Model, status: number, isClientsFault: boolean): void {
  if (model.exchange === 'running') model.upstream = undefined
  if (model.exchange === 'discarding') return end(model, 'close')
  if (model.responseBegun) return end(model, 'reset')
  model.finals.push(status)
  end(model, isClientsFault || !model.persists || model.requestLeft > 0 || model.isRetired || model.isDraining ? 'close' : 'next')
}

function clientGone(model: Model): void {
  if (model.exchange === 'running' || model.exchange === 'tunnel') model.upstream = undefined
  if (model.exchange !== 'none') {
    model.summaries++
    model.exchange = 'none'
  }
  model.client = 'closed'
  model.ahead = []
}

/** The connection is lost before the response was complete. `wasClosed`: without a word, so that it may have been closed all along. */
function lose(model: Model, wasClosed: boolean): void {
  const wasReused = model.upstream!.users.length > 1
  model.upstream = undefined
  if (wasClosed && !model.serverSpoke && wasReused && !model.hasRetried && model.kind !== 'post') {
    model.hasRetried = true
    return acquire(model)
  }
  model.exchange = 'waiting'
  fail(model, 502, false)
}

function complete(model: Model, isReusable: boolean): void {
  if (model.requestLeft === 0) {
    if (isReusable) model.upstream!.state = 'idle'
    else model.upstream = undefined
    const isDone = (model.kind === 'last' || model.kind === 'old') && model.ahead.length === 0
    end(model, model.persists ? 'next' : 'close')
    // With nothing left to come there is nothing to linger for.
    if (isDone) model.client = 'closed'
    return
  }
  model.upstream = undefined
  if (model.persists) model.exchange = 'discarding'
  else end(model, 'close')
}

/** Only the last client is still there to be suspected. */
function suspect(model: Model, clientNumber: number | undefined): void {
  if (clientNumber !== model.clientNumber) return
  model.isRetired = true
  if (model.client === 'idle') model.client = 'lingering'
}

/** What was this client's alone ends with it. */
function abandon(model: Model): void {
  const { client, upstream } = model
  if (client === 'closed' && upstream?.state === 'idle' && upstream.isReserved) model.upstream = undefined
}

// What is real must be what the model says

function compare(model: Model, stage: ExchangeStage): void {
  const { upstream } = model
  assert.equal(stage.connection.state, model.client)
  assert.deepEqual(finalsOf(stage.toClients), model.finals)
  assert.equal((stage.toServers.match(/ HTTP\/1\.1\r\n/g) ?? []).length, model.forwarded, 'requests that were forwarded')
  assert.equal(stage.summaries.length, model.summaries, 'summaries')
  assert.equal(stage.upstream.sockets.length, model.opened, 'upstream sockets')
  for (const index of stage.upstream.sockets.keys())
    assert.equal(stage.upstream.isGone(index), index !== upstream?.index, `upstream socket ${index}`)
  assert.deepEqual(
    stage.group.servers.map(({ pool }) => pool.stats),
    [
      {
        idle: upstream?.state === 'idle' ? 1 : 0,
        busy: upstream?.state === 'busy' || upstream?.state === 'tunnel' ? 1 : 0,
        connecting: upstream?.state === 'connecting' ? 1 : 0,
        waiting: model.exchange === 'waiting' ? 1 : 0,
      },
    ],
  )
}

function finalsOf(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 ([0-9]{3})/g)]
    .map(([, status]) => Number(status))
    .filter((status) => status >= 200 || status === 101)
}

class Event implements fc.Command<Model, ExchangeStage> {
  readonly #name: string
  readonly #isPossible: (model: Model) => boolean
  readonly #happen: (model: Model, stage: ExchangeStage) => void
  /** How much each read brings. */
  readonly #readBytes: number

  constructor(
    name: string,
    readBytes: number,
    isPossible: (model: Model) => boolean,
    happen: (model: Model, stage: ExchangeStage) => void,
  ) {
    this.#name = name
    this.#readBytes = readBytes
    this.#isPossible = isPossible
    this.#happen = happen
  }

  check(model: Readonly<Model>): boolean {
    return this.#isPossible(model)
  }

  run(model: Model, stage: ExchangeStage): void {
    this.#happen(model, stage)
    stage.settle(this.#readBytes)
    abandon(model)
    compare(model, stage)
  }

  toString(): string {
    return `${this.#name} in reads of ${this.#readBytes}`
  }
}

// What can happen

/** Its head is with the server, or does not wait for a connection: the client is read. */
function isRead(model: Model): boolean {
  return model.client !== 'closed' && !(model.exchange === 'waiting' && model.requestLeft > 0)
}

function newClient(): Event {
  return new Event(
    'a client comes',
    100,
    ({ client }) => client === 'closed',
    (model, stage) => {
      model.client = 'idle'
      model.clientEnded = false
      model.clientNumber++
      model.isRetired = false
      model.hasSpoken = false
      stage.open()
    },
  )
}

function request(kind: Kind, readBytes: number): Event {
  return new Event(
    kind,
    readBytes,
    ({ client, clientEnded }) => client === 'idle' && !clientEnded,
    (model, stage) => {
      stage.client.peer.send(requests[kind])
      begin(model, kind)
    },
  )
}

function pipelined(kind: Exclude<Kind, 'post'>, readBytes: number): Event {
  return new Event(
    `${kind} behind another`,
    readBytes,
    ({ client, clientEnded, requestLeft }) => client === 'busy' && !clientEnded && requestLeft === 0,
    (model, stage) => {
      stage.client.peer.send(requests[kind])
      model.ahead.push(kind)
    },
  )
}

function body(bytes: number, readBytes: number): Event {
  return new Event(
    `${bytes} octets of the request body`,
    readBytes,
    (model) => model.client === 'busy' && !model.clientEnded && model.requestLeft > 0 && isRead(model),
    (model, stage) => {
      const sent = Math.min(bytes, model.requestLeft)
      stage.client.peer.send('body'.slice(0, sent))
      model.requestLeft -= sent
      if (model.requestLeft === 0 && model.exchange === 'discarding') end(model, 'next')
    },
  )
}

function clientEnd(): Event {
  return new Event(
    'the client ends',
    100,
    (model) => !model.clientEnded && isRead(model),
    (model, stage) => {
      stage.client.peer.end()
      model.clientEnded = true
      if (model.client === 'idle' || model.client === 'lingering') model.client = 'closed'
      else if (model.client === 'tunnel') endTunnel(model)
      else if (model.requestLeft > 0) fail(model, 400, true)
      else if (!model.servesHalfClosed) clientGone(model)
    },
  )
}

function clientReset(): Event {
  return new Event(
    'the client resets',
    100,
    ({ client, clientEnded }) => client !== 'closed' && !clientEnded,
    (model, stage) => {
      stage.client.peer.reset()
      clientGone(model)
    },
  )
}

function connect(): Event {
  return new Event(
    'the server accepts',
    100,
    ({ upstream }) => upstream?.state === 'connecting',
    (model, stage) => {
      stage.upstream.connect(model.upstream!.index)
      if (model.exchange === 'waiting') run(model)
      else model.upstream!.state = 'idle'
    },
  )
}

function refuse(): Event {
  return new Event(
    'the server refuses',
    100,
    ({ upstream }) => upstream?.state === 'connecting',
    (model, stage) => {
      stage.upstream.refuse(model.upstream!.index)
      model.upstream = undefined
      if (model.exchange === 'waiting') fail(model, 502, false)
    },
  )
}

interface Response {
  readonly text: string
  readonly status: number
  readonly length: number
  readonly isReusable: boolean
}

const responses: readonly Response[] = [
  { text: 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n', status: 200, length: 4, isReusable: true },
  { text: 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n', status: 200, length: 4, isReusable: false },
  { text: 'HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n', status: 404, length: 4, isReusable: true },
  { text: 'HTTP/1.1 204 No Content\r\n\r\n', status: 204, length: 0, isReusable: true },
  { text: 'HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\n', status: 200, length: 4, isReusable: false },
  { text: 'HTTP/1.1 200 OK\r\n\r\n', status: 200, length: Number.POSITIVE_INFINITY, isReusable: false },
]

/** Head and so many octets of the body; with `stray` octets behind a response that is whole. */
function respond(response: Response, bytes: number, stray: boolean, readBytes: number): Event {
  return new Event(
    `${JSON.stringify(response.text)} and ${bytes}${stray ? ' and more than that' : ''}`,
    // In one read: what comes in a later one may be taken for the answer to the next request, and nobody could tell.
    stray ? 1_000_000 : readBytes,
    ({ exchange, responseBegun, upstream }) => exchange === 'running' && !responseBegun && !upstream!.ended,
    (model, stage) => {
      const { index } = model.upstream!
      const length = model.kind === 'head' || response.length === 0 ? 0 : response.length
      const sent = Math.min(bytes, length)
      const isStray = stray && sent === length
      stage.upstream.socket(index).peer.send(`${response.text}${'body'.slice(0, sent)}${isStray ? '?' : ''}`)
      model.finals.push(response.status)
      model.serverSpoke = true
      model.responseBegun = true
      model.responseLeft = length - sent
      const endsWithConnection = length === Number.POSITIVE_INFINITY
      // To HEAD it has no body, and so no need to end with the connection.
      const mayBeReused = response.isReusable || (model.kind === 'head' && response.length === Number.POSITIVE_INFINITY)
      if (
        model.isDraining ||
        model.isRetired ||
        (model.requestLeft > 0 && response.status >= 400) ||
        (endsWithConnection && model.kind === 'old')
      )
        model.persists = false
      isReusable.set(model, mayBeReused)
      if (isStray) suspect(model, model.clientNumber)
      if (model.responseLeft === 0) complete(model, mayBeReused && !isStray)
    },
  )
}

/** Of the response that is under way. */
const isReusable = new WeakMap<Model, boolean>()

function responseBody(bytes: number, readBytes: number): Event {
  return new Event(
    `${bytes} octets of the response body`,
    readBytes,
    ({ exchange, responseBegun, upstream }) => exchange === 'running' && responseBegun && !upstream!.ended,
    (model, stage) => {
      const sent = Math.min(bytes, model.responseLeft)
      stage.upstream.socket(model.upstream!.index).peer.send('body'.slice(0, sent))
      model.responseLeft -= sent
      if (model.responseLeft === 0) complete(model, isReusable.get(model)!)
    },
  )
}

function interim(readBytes: number): Event {
  return new Event(
    'an interim response',
    readBytes,
    ({ exchange, responseBegun, upstream }) => exchange === 'running' && !responseBegun && !upstream!.ended,
    (model, stage) => {
      stage.upstream.socket(model.upstream!.index).peer.send('HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n')
      model.serverSpoke = true
    },
  )
}

function nonsense(): Event {
  return new Event(
    'nonsense from the server',
    100,
    ({ exchange, responseBegun, upstream }) =>
      upstream !== undefined && !upstream.ended && ((exchange === 'running' && !responseBegun) || upstream.state === 'idle'),
    (model, stage) => {
      const { index, state, users } = model.upstream!
      stage.upstream.socket(index).peer.send('nonsense\r\n\r\n')
      model.serverSpoke = true
      if (state === 'idle') {
        suspect(model, users.at(-1))
        model.upstream = undefined
      } else {
        // What stands before an answer was there before the request.
        if (users.length > 1) suspect(model, users.at(-2))
        lose(model, false)
      }
    },
  )
}

function serverLeaves(how: 'end' | 'reset'): Event {
  return new Event(
    `the server ${how}s`,
    100,
    ({ upstream }) => upstream !== undefined && upstream.state !== 'connecting' && !upstream.ended,
    (model, stage) => {
      const { index, state } = model.upstream!
      stage.upstream.socket(index).peer[how]()
      if (state === 'idle') model.upstream = undefined
      else if (state === 'tunnel') {
        model.upstream!.ended = true
        if (how === 'end') endTunnel(model)
        else clientGone(model)
      } else if (how === 'end' && model.responseLeft === Number.POSITIVE_INFINITY) complete(model, false)
      else lose(model, true)
    },
  )
}

function switchProtocols(readBytes: number): Event {
  return new Event(
    'a switch of protocols',
    readBytes,
    ({ exchange, responseBegun, upstream }) => exchange === 'running' && !responseBegun && !upstream!.ended,
    (model, stage) => {
      stage.upstream.socket(model.upstream!.index).peer.send('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n')
      model.serverSpoke = true
      if (model.kind !== 'upgrade') return lose(model, false)
      model.finals.push(101)
      model.responseBegun = true
      model.exchange = 'tunnel'
      model.client = 'tunnel'
      model.upstream!.state = 'tunnel'
      // What the client sent ahead is not HTTP any more, and goes through.
      model.forwarded += model.ahead.filter((kind) => kind !== 'old').length
      model.ahead = []
    },
  )
}

/** Each side may end by itself; with both, the tunnel is over. */
function endTunnel(model: Model): void {
  if (!model.clientEnded || !model.upstream!.ended) return
  clientGone(model)
}

/** From now on the proxy is about to stop. */
function drain(model: Model, stage: ExchangeStage): void {
  model.isDraining = true
  if (model.client === 'idle') model.client = 'lingering'
  stage.drain()
  stage.settle()
  abandon(model)
  compare(model, stage)
}

/** Everything has its deadline: time alone ends every state. */
function silence(): Event {
  return new Event(
    'a long silence',
    100,
    ({ ahead }) => ahead.length === 0,
    (model, stage) => {
      const neverSpoke = model.client === 'idle' && !model.hasSpoken
      if (model.exchange !== 'none' || neverSpoke) model.summaries++
      for (let minutes = 0; minutes < 120; minutes++) {
        stage.upstream.clock.advance(60_000)
        stage.settle()
      }
      model.exchange = 'none'
      model.client = 'closed'
      model.upstream = undefined
      // What was said at the end depends on whose deadline came first.
      const finals = finalsOf(stage.toClients)
      assert.deepEqual(finals.slice(0, model.finals.length), model.finals)
      assert(finals.length <= model.finals.length + 1)
      model.finals = finals
    },
  )
}

test('whatever clients, server and operator do in whatever order, exchanges go the way that is drawn', () => {
  const readBytes = fc.constantFrom(1, 7, 1_000_000)
  const bytes = fc.nat(bodyBytes)
  const kind = fc.constantFrom<Kind>('get', 'get', 'head', 'post', 'post', 'last', 'old', 'upgrade', 'bad')
  const ahead = fc.constantFrom<Exclude<Kind, 'post'>>('get', 'head', 'last', 'old', 'bad')
  const answer = fc
    .tuple(
      fc.constantFrom(...responses),
      fc.constantFrom(0, 2, bodyBytes, bodyBytes),
      fc.constantFrom(false, false, false, true),
      readBytes,
    )
    .map((parts) => respond(...parts))
  // What goes on is more frequent than what ends everything.
  const often = [
    fc.tuple(kind, readBytes).map((parts) => request(...parts)),
    fc.tuple(bytes, readBytes).map((parts) => body(...parts)),
    fc.constant(connect()),
    answer,
    fc.tuple(bytes, readBytes).map((parts) => responseBody(...parts)),
  ]
  const events = [
    ...Array.from({ length: 5 }, () => often).flat(),
    fc.constant(newClient()),
    fc.tuple(ahead, readBytes).map((parts) => pipelined(...parts)),
    fc.constant(refuse()),
    readBytes.map(interim),
    readBytes.map(switchProtocols),
    fc.constant(nonsense()),
    fc.constantFrom('end' as const, 'reset' as const).map(serverLeaves),
    fc.constant(clientEnd()),
    fc.constantFrom(clientReset(), silence()),
  ]
  const sequences = fc.tuple(
    fc.boolean(),
    fc.commands(events, { maxCommands: 400, size: 'max' }),
    fc.option(fc.commands(events, { maxCommands: 60, size: 'max' })),
  )
  fc.assert(
    fc.property(sequences, ([servesHalfClosed, before, after]) => {
      const stage = new ExchangeStage({
        halfClosedClients: servesHalfClosed ? 'serve' : 'abort',
        pool: { connections: 1 },
        limits: { minRate: 0 },
        desync: { quarantineAfter: 0 },
      })
      stage.open()
      const model: Model = {
        client: 'idle',
        clientEnded: false,
        clientNumber: 0,
        isRetired: false,
        hasSpoken: false,
        servesHalfClosed,
        isDraining: false,
        exchange: 'none',
        kind: 'get',
        requestLeft: 0,
        persists: true,
        hasRetried: false,
        ahead: [],
        responseBegun: false,
        responseLeft: 0,
        serverSpoke: false,
        upstream: undefined,
        opened: 0,
        finals: [],
        forwarded: 0,
        summaries: 0,
      }
      const setup = (): { model: Model; real: ExchangeStage } => ({ model, real: stage })
      fc.modelRun(setup, before)
      if (after !== null) {
        drain(model, stage)
        fc.modelRun(setup, after)
      }
      for (const connection of stage.connections) connection.shutdown()
      stage.group.destroy()
      stage.settle()
      assert(stage.connections.every(({ state }) => state === 'closed'))
      stage.upstream.assertEmpty()
    }),
    { numRuns: 500 },
  )
})
