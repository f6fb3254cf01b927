/**
 * The parts that every request pays for, each alone and with the input that the end-to-end bench sends. A case is a function that does
 * one operation; what it returns is only there so that the work cannot be left out.
 */
import { Counters } from '../../lib/observe/counters.ts'
import { AccessLog } from '../../lib/observe/access-log.ts'
import { RateLimiter } from '../../lib/limit/rate-limiter.ts'
import type { ExchangeSummary } from '../../lib/observe/exchange-summary.ts'
import { LineBytes } from '../../lib/observe/line-bytes.ts'
import { formatCombinedLine, formatJsonLine, type FormatLine, type LineContext } from '../../lib/observe/line-format.ts'
import { compileTemplate } from '../../lib/observe/line-template.ts'
import { Redaction } from '../../lib/observe/redaction.ts'
import { Deadline, systemClock, TimerWheel } from '../../lib/core/timers.ts'
import { forwardRequest } from '../../lib/exchange/forward-request.ts'
import { readClient, TrustedPeers } from '../../lib/policy/client.ts'
import { ClientMemo, makeHeadPolicy } from '../../lib/policy/head-policy.ts'
import { edgeSecurityFields } from '../../lib/policy/security-fields.ts'
import type { ListenerOptions } from '../../lib/core/service-options.ts'
import { Router } from '../../lib/route/router.ts'
import { NetworkSet } from '../../lib/route/networks.ts'
import { createParser, encodeRequestHead, encodeResponseHead, ParserEngine } from '../../native-free-parser/index.ts'
import { workloadTable } from '../e2e/workloads.ts'
import type { Address } from '../../lib/core/options.ts'
import { plainBalancing, plainServers, UpstreamGroup, type Balancing } from '../../lib/upstream/group.ts'
import { makeEnvironment, PoolStage } from './pool-stage.ts'

export interface MicroCase {
  readonly name: string
  readonly run: () => unknown
  /** At most so many without a turn of the event loop, where in real life there are no more either. */
  readonly operationsMax?: number
}

const requestOf = (name: string): Buffer => workloadTable.find((workload) => workload.name === name)!.request
const smallRequest = requestOf('small-get')
const browserRequest = requestOf('headers-20')
const chunkedRequest = requestOf('post-64k-chunked')
const date = 'Thu, 01 Jan 2026 00:00:00 GMT'
const response = Buffer.from(
  `HTTP/1.1 200 OK\r\nServer: bench-origin\r\nDate: ${date}\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, bench!`,
)

/** What has to be closed or unlinked afterwards goes on the stack. */
export function makeCases(stack: DisposableStackLike): readonly MicroCase[] {
  return [
    { name: 'parse: request head, 1 field', run: parseInPlace('request', smallRequest) },
    { name: 'parse: request head, 20 fields', run: parseInPlace('request', browserRequest) },
    { name: 'parse: request head, 20 fields, in two reads', run: parseInPieces(browserRequest, 400) },
    { name: 'parse: response head, 4 fields, and body', run: parseInPlace('response', response) },
    { name: 'parse: chunked body, 64 KiB in 8 KiB', run: parseInPieces(chunkedRequest, 32_768) },
    { name: 'encode: request head, 1 field', run: encodeRequest(smallRequest) },
    { name: 'encode: request head, 20 fields', run: encodeRequest(browserRequest) },
    { name: 'encode: response head, 4 fields', run: encodeResponse(response) },
    ...poolCases(),
    ...balanceCases(),
    ...timerCases(stack),
    ...networkCases(),
    ...routeCases(),
    ...headCases(),
    { name: 'counters: an exchange that has ended', run: countExchange() },
    ...lineCases(),
    ...limitCases(),
    { name: 'access log: format, buffer and write', run: writeLine(stack), operationsMax: 200 },
  ]
}

/** Of the standard library's DisposableStack what is used here; Node 20 has none. */
export interface DisposableStackLike {
  defer(callback: () => void): void
}

/** All that is counted of an exchange, in a proxy with ten routes. */
function countExchange(): () => unknown {
  const counters = new Counters()
  const names = Array.from({ length: 10 }, (_, index) => `route-${index}`)
  let next = 0
  return () => {
    const name = names[next++ % names.length]!
    counters.countExchange(counters.route(name), 200, '--', '', 80, 300, 0.02, 0.01, 1.2, 1.4)
  }
}

/** As a socket of the proxy does it: the bytes are in the memory of the engine already. */
function parseInPlace(kind: 'request' | 'response', message: Buffer): () => unknown {
  const engine = new ParserEngine({ slots: 1 })
  let heads = 0
  const parser = createParser(kind, { onHead: () => void (heads += 1), onBody() {}, onTrailers() {}, onMessageComplete() {} }, {}, engine)
  message.copy(engine.readBuffer)
  return () => {
    parser.execute(engine.readBuffer, 0, message.length)
    parser.resume()
    return heads
  }
}

function parseInPieces(message: Buffer, pieceBytes: number): () => unknown {
  const engine = new ParserEngine({ slots: 1 })
  let bodyBytes = 0
  const handler = {
    onHead() {},
    onBody: (_bytes: Uint8Array, start: number, end: number) => void (bodyBytes += end - start),
    onTrailers() {},
    onMessageComplete() {},
  }
  const parser = createParser('request', handler, {}, engine)
  return () => {
    for (let at = 0; at < message.length; at += pieceBytes) {
      const length = message.copy(engine.readBuffer, 0, at, Math.min(message.length, at + pieceBytes))
      parser.execute(engine.readBuffer, 0, length)
    }
    parser.resume()
    return bodyBytes
  }
}

const nothing = { host: '', drops: 0, edits: null, added: '' }
const noEvents = { onBody() {}, onTrailers() {}, onMessageComplete() {} }

/** A head belongs to its engine, and stays valid until that parses another. */
function encodeRequest(message: Buffer): () => unknown {
  const engine = new ParserEngine({ slots: 1 })
  createParser('request', { ...noEvents, onHead() {} }, {}, engine).execute(message)
  const encoding = { via: 'eproxy-12345678', defaultHost: '', upgrade: '', maxForwards: '', acceptsTrailers: false, ...nothing }
  return () => encodeRequestHead(engine.requestHead, encoding).length
}

function encodeResponse(message: Buffer): () => unknown {
  const engine = new ParserEngine({ slots: 1 })
  createParser('response', { ...noEvents, onHead() {} }, {}, engine).execute(message)
  const encoding = { via: 'eproxy-12345678', framing: 'same', connection: '', date, edits: null, added: '' } as const
  return () => encodeResponseHead(engine.responseHead, encoding).length
}

function poolCases(): readonly MicroCase[] {
  const stage = new PoolStage(response)
  return [
    { name: 'pool: acquire, assign, parse a response, release', run: () => stage.turn() },
    { name: 'pool: the same, 256 connections idle', run: crowded() },
  ]
}

function crowded(): () => unknown {
  const stage = new PoolStage(response, 256)
  return () => stage.turn()
}

function balanceCases(): readonly MicroCase[] {
  return [
    { name: 'balance: the only server, nothing configured', run: pickAndLeave(1, plainBalancing) },
    ...(['round-robin', 'least-connections', 'power-of-two', 'hash', 'sticky'] as const).map((balance) => ({
      name: `balance: ${balance}, 3 servers`,
      run: pickAndLeave(3, {
        ...plainBalancing,
        balance,
        stickyCookie: 'server',
        outlier,
        breaker: { exchanges: 1_000, waiting: 1_000, retries: 1_000 },
      }),
    })),
    { name: 'balance: power-of-two, 100 servers', run: pickAndLeave(100, { ...plainBalancing, balance: 'power-of-two' }) },
    { name: 'balance: hash, 100 servers', run: pickAndLeave(100, { ...plainBalancing, balance: 'hash' }) },
  ]
}

const outlier = {
  consecutive: 5,
  failureShare: 0.5,
  requests: 20,
  windowMs: 10_000,
  ejectMs: 10_000,
  ejectMaxMs: 300_000,
  ejectShareMax: 0.5,
}

/** What an exchange costs its group: the choice, the outcome and the end. */
function pickAndLeave(count: number, balancing: Balancing): () => unknown {
  const addresses = Array.from({ length: count }, (_, index): Address => ({ kind: 'tcp', host: `10.0.0.${index}`, port: 80 }))
  const group = new UpstreamGroup(plainServers(addresses), makeEnvironment(new ParserEngine({ slots: 1 })), 'bench', balancing)
  const key = balancing.balance === 'sticky' ? group.servers[0]!.stickyId : '192.0.2.171'
  return () => {
    const server = group.pick([], key, false)!
    group.onSuccess(server)
    group.leave(server, false)
    return server
  }
}

function timerCases(stack: DisposableStackLike): readonly MicroCase[] {
  const wheel = new TimerWheel(systemClock, { onLag() {}, onFault() {} })
  stack.defer(() => wheel.stop())
  const owner = { onDeadline() {} }
  const moved = new Deadline(owner)
  const fresh = new Deadline(owner)
  for (let index = 0; index < 10_000; index += 1) wheel.arm(new Deadline(owner), 'idle', 60_000 + index)
  return [
    { name: 'timers: move a deadline further away', run: () => wheel.arm(moved, 'idle', 75_000) },
    {
      name: 'timers: arm and remove',
      run: () => {
        wheel.arm(fresh, 'head', 10_000)
        wheel.remove(fresh)
        return wheel.size
      },
    },
  ]
}

/** A decision with all that belongs to it: the client's address is read, hashed and looked up, and its account is charged. */
function limitCases(): readonly MicroCase[] {
  const engine = new ParserEngine({ slots: 1 })
  createParser('request', { ...noEvents, onHead() {} }, {}, engine).execute(
    Buffer.from('GET / HTTP/1.1\r\nHost: example.com\r\nX-Api-Key: 0123456789abcdef\r\n\r\n'),
  )
  const head = engine.requestHead
  const limiter = new RateLimiter(systemClock, { onStoreState() {}, onFault() {} })
  const base = { requests: 100, perMs: 1_000, burst: 200, ipv6Prefix: 64, shared: false }
  limiter.configure({
    rateLimits: { client: { ...base, key: { kind: 'client' } }, field: { ...base, key: { kind: 'header', name: 'x-api-key' } } },
  })
  const byClient = limiter.bind(['client'], 'route')!
  const byField = limiter.bind(['field'], 'route')!
  const addresses4 = Array.from({ length: 10_000 }, (_, index) => `203.0.${index >> 8}.${index & 255}`)
  const addresses6 = Array.from({ length: 10_000 }, (_, index) => `2001:db8:${index.toString(16)}:1:20c:29ff:fe12:3456`)
  let turn = 0
  let now = 0
  const decide = (addresses: readonly string[]) => () => {
    turn = turn === 9_999 ? 0 : turn + 1
    // A microsecond for each decision: none of 10,000 clients gets beyond its limit.
    return byClient.take(addresses[turn]!, head, (now += 0.001))
  }
  return [
    { name: 'rate limit: decide, one of 10,000 IPv4 addresses', run: decide(addresses4) },
    { name: 'rate limit: decide, one of 10,000 IPv6 addresses', run: decide(addresses6) },
    { name: 'rate limit: decide by a field of 16 octets, refused', run: () => byField.take('203.0.113.7', head, now) },
  ]
}

function networkCases(): readonly MicroCase[] {
  const set = new NetworkSet([
    ...Array.from({ length: 500 }, (_, index) => `10.${index >> 1}.${(index & 1) * 128}.0/24`),
    ...Array.from({ length: 500 }, (_, index) => `2001:db8:${(index * 2).toString(16)}::/48`),
  ])
  return [
    { name: 'networks: an IPv4 address among 1000', run: () => set.has('10.201.128.77') },
    { name: 'networks: an IPv6 address among 1000', run: () => set.has('2001:db8:2ff:1:20c:29ff:fe12:3456') },
  ]
}

function lineCases(): readonly MicroCase[] {
  const plain: LineContext = { worker: 0, redaction: new Redaction() }
  const redacting: LineContext = { worker: 0, redaction: new Redaction(['token', 'sort']) }
  const format = compileTemplate('{time} {client} "{method} {target}" {status} {bytesOut} {totalMs}', 'plain')
  const described = { ...summary, referer: 'http://bench.example/catalogue/', userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0)' }
  return [
    { name: 'access log: format a line, JSON', run: lineOf(formatJsonLine, summary, plain) },
    { name: 'access log: format a line, JSON, values of a query hidden', run: lineOf(formatJsonLine, summary, redacting) },
    { name: 'access log: format a line, combined', run: lineOf(formatCombinedLine, described, plain) },
    { name: 'access log: format a line, template of 7 names', run: lineOf(format, summary, plain) },
  ]
}

/** What the profile edge adds to a head on its way, and the head as it leaves. */
function headCases(): readonly MicroCase[] {
  const engine = new ParserEngine({ slots: 1 })
  createParser('request', { ...noEvents, onHead() {} }, {}, engine).execute(smallRequest)
  const head = engine.requestHead
  const listener: ListenerOptions = {
    address: '127.0.0.1:8080',
    profile: 'edge',
    trustedProxies: [],
    rateLimits: [],
    connectionsPerClient: 0,
    requestBodyBytes: 0,
    requestId: { name: 'X-Request-Id', accept: 'trusted' },
    serverField: 'remove',
    securityFields: edgeSecurityFields,
  }
  const policy = makeHeadPolicy({ forwarded: 'both', listener, route: undefined, group: 'app', host: 'preserve' })!
  const trusted = new TrustedPeers(['10.0.0.0/8'])
  const run = (remoteAddress: string, memo: ClientMemo) => () => {
    const client = readClient(head, { remote: `${remoteAddress}:53211`, remoteAddress }, 'both', trusted)
    const changes = policy.changesFor(head, client, policy.requestIdOf(head, client), memo)
    return forwardRequest(head, 'eproxy-12345678', '', [], -1, changes).length
  }
  return [
    { name: 'head: to the upstream, profile edge', run: run('192.0.2.7', new ClientMemo()) },
    { name: 'head: the same, behind a trusted proxy', run: run('10.0.0.1', new ClientMemo()) },
  ]
}

function lineOf(format: FormatLine, of: ExchangeSummary, context: LineContext): () => unknown {
  const line = new LineBytes()
  return () => {
    line.clear()
    format(line, of, context)
    return line.length
  }
}

function routeCases(): readonly MicroCase[] {
  const engine = new ParserEngine({ slots: 1 })
  const text = 'GET /team-7/service/items/17?page=3 HTTP/1.1\r\nHost: shop-3.example.com\r\nAccept: */*\r\n\r\n'
  createParser('request', { ...noEvents, onHead() {} }, {}, engine).execute(Buffer.from(text))
  const head = engine.requestHead
  /** Ten hosts share the routes. */
  const routerOf = (count: number): Router<number> =>
    new Router(
      Array.from({ length: count }, (_, index) => ({
        name: String(index),
        match: {
          hosts: [`shop-${index % 10}.example.com`],
          path: { prefix: `/team-${(index - (index % 10)) / 10 + 7}/service` },
          methods: [],
          headers: {},
        },
        route: index,
      })),
    )
  const few = routerOf(10)
  const many = routerOf(10_000)
  const patterns = new Router([
    { name: 'pattern', match: { hosts: [], path: { pattern: '/team-[0-9]+/service(/.*)?' }, methods: [], headers: {} }, route: 0 },
  ])
  return [
    { name: 'route: by host and prefix among 10', run: () => few.find(head) },
    { name: 'route: by host and prefix among 10,000', run: () => many.find(head) },
    { name: 'route: by one pattern', run: () => patterns.find(head) },
  ]
}

function writeLine(stack: DisposableStackLike): () => unknown {
  const log = new AccessLog({ destination: '/dev/null' })
  stack.defer(() => void log.close())
  return () => log.write(summary)
}

const summary: ExchangeSummary = {
  id: 'k3f9-1a2b',
  startedAt: 1_767_225_600_000,
  client: '127.0.0.1:51234',
  method: 'GET',
  target: '/catalogue/items?page=3&sort=price',
  version: '1.1',
  status: 200,
  bytesIn: 812,
  bytesOut: 1_190,
  upstream: '127.0.0.1:3000',
  upstreamConnection: 17,
  reused: true,
  retries: 0,
  headMs: 0.012,
  upstreamMs: 0.003,
  responseMs: 0.241,
  totalMs: 0.287,
  termination: '--',
  error: '',
  rule: '',
  tunnel: false,
  route: '',
  listener: '',
}
