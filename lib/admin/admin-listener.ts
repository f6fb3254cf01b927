/**
 * The admin listener: a small HTTP server of its own, beside the proxy and never in its way. It answers from figures that are asked for, once a second
 * while somebody watches, and hands changes to who can make them. It owns its server, which may become another one while it runs, its readers and
 * its timer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { hostname } from 'node:os'
import { isDeepStrictEqual } from 'node:util'
import type { ProxyError } from '../core/errors.ts'
import type { Address } from '../core/options.ts'
import type { AdminOptions } from '../core/service-options.ts'
import { systemClock } from '../core/timers.ts'
import type { AdminState, GroupStats, Logger } from '../index.ts'
import { mayCollide } from '../net/colliding.ts'
import type { LiveEvent, LiveEventKind } from '../observe/live-event.ts'
import { LogBudget } from '../observe/log-budget.ts'
import { silentLogger } from '../observe/logger.ts'
import { bearsToken, isFromElsewhere, isOwnHost, knowsToken } from './access.ts'
import { isGuarded, readAdminAddress } from './admin-address.ts'
import { AdminServer } from './admin-server.ts'
import { endpointTable, findEndpoint, type EndpointMatch } from './endpoints.ts'
import { EventStream } from './event-stream.ts'
import { expositionType, renderMetrics } from './exposition.ts'
import type { ReloadFigures } from './metric-table.ts'
import { judgeReadiness } from './readiness.ts'
import { StatusBoard, type StatusDocument } from './status.ts'
import { loadStatusPage, type StatusPage } from './status-page.ts'
import type { AdminControls, AdminSubject } from './subject.ts'

export interface AdminListenerOptions extends AdminOptions {
  readonly subject: AdminSubject
  readonly controls?: AdminControls
  readonly logger?: Logger
  /** Of the program, for those who look. */
  readonly version: string
}

const tickMs = 1_000
const readersMax = 32
const bodyBytesMax = 1_024
const eventsKept = 50

/** Sent with everything: what is shown may be what a peer sent, and no other site has any business here. */
const commonFields = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
} as const
const noContentPolicy = "default-src 'none'; frame-ancestors 'none'"

/** Other settings that can be taken: what had to be opened is open. One of the two is to be called. */
export interface AdminChange {
  /** Where it listens, as it can be connected to; undefined when that has not changed. */
  readonly address: string | undefined
  commit(): void
  /** All stays as it was. */
  abandon(): Promise<void>
}

export class AdminListener implements AsyncDisposable {
  #token: string
  readonly #subject: AdminSubject
  readonly #controls: AdminControls
  readonly #logger: Logger
  readonly #version: string
  readonly #page: StatusPage
  #names: readonly string[]
  #server: AdminServer
  /** Those that were left may have something to answer still. */
  readonly #left = new Set<AdminServer>()
  readonly #refusals = new LogBudget(systemClock)
  readonly #board = new StatusBoard()
  readonly #stream: EventStream
  readonly #recent: LiveEvent[] = []
  readonly #startedAt = Date.now()
  /** As they were told last. */
  #reloads: ReloadFigures = noReloads
  #isDraining = false
  #timer: NodeJS.Timeout | undefined
  #isTicking = false
  #asking: Promise<GroupStats> | undefined
  #askingNext: Promise<GroupStats> | undefined
  #last: StatusDocument | undefined

  /** Throws ProxyError ERR_EPROXY_OPTION for an address that others can reach, unless that is meant and there is a token. */
  constructor({ address, token, public: isPublic, subject, controls = {}, logger = silentLogger, version }: AdminListenerOptions) {
    const where = readAdminAddress({ address, public: isPublic })
    this.#token = token
    this.#subject = subject
    this.#controls = controls
    this.#logger = logger
    this.#version = version
    this.#page = loadStatusPage()
    this.#names = namesOf(where, isPublic)
    this.#stream = new EventStream(readersMax, (readers) => this.#onReaders(readers))
    this.#server = this.#makeServer(where, token)
  }

  /** Resolves with the address as it can be connected to. Rejects with ProxyError ERR_EPROXY_LISTEN. */
  async listen(): Promise<{ readonly address: string }> {
    const address = await this.#server.listen()
    this.#timer = setInterval(() => void this.#tick(), tickMs)
    this.#timer.unref()
    await this.#tick()
    return { address }
  }

  /**
   * Another address, another token: what was counted and who asks stays. Rejects with ProxyError ERR_EPROXY_OPTION or ERR_EPROXY_LISTEN,
   * and has changed nothing then.
   */
  async prepare({ address: given, token, public: isPublic }: AdminOptions): Promise<AdminChange> {
    const where = readAdminAddress({ address: given, public: isPublic })
    const before = this.#server
    const names = namesOf(where, isPublic)
    const takeRights = (): void => {
      // Who reads by the word of a token that does not count any more is to come back with the one that does.
      if (token !== this.#token && isGuarded(where, token)) this.#stream.close()
      this.#token = token
      this.#names = names
    }
    const next = this.#makeServer(where, token)
    if (isDeepStrictEqual(where, before.where)) return { address: undefined, commit: takeRights, abandon: () => Promise.resolve() }
    // From one address of a port to all of them: both at a time cannot be had.
    const collides = mayCollide(where, before.where)
    if (collides) before.release()
    const goBack = async (): Promise<void> => {
      await next.close()
      if (collides) await before.listen()
    }
    const address = await next.listen().catch(async (error: ProxyError) => {
      await goBack()
      throw error
    })
    return {
      address,
      commit: () => {
        takeRights()
        this.#server = next
        // Who reads there comes back by itself, and finds nobody.
        this.#stream.close()
        this.#left.add(before)
        void before.leave().then(() => this.#left.delete(before))
      },
      abandon: goBack,
    }
  }

  /** Nobody is answered any more, but for what was asked already. Resolves when that is done, unless it is closed before. */
  leave(): Promise<void> {
    this.#rest()
    return this.#server.leave()
  }

  /** The proxy finishes what runs: it is not ready any more, and says so until it is closed. */
  beginDrain(): void {
    if (this.#isDraining) return
    this.#isDraining = true
    this.#tell('change', 'draining: running exchanges finish', {})
  }

  async close(): Promise<void> {
    this.#rest()
    await Promise.all([this.#server, ...this.#left].map((server) => server.close()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #rest(): void {
    clearInterval(this.#timer)
    this.#subject.watch(undefined)
    this.#stream.close()
  }

  /** Throws ProxyError ERR_EPROXY_OPTION when others can reach it and there is no token. */
  #makeServer(where: Address, token: string): AdminServer {
    const needsToken = isGuarded(where, token)
    return new AdminServer(where, {
      onRequest: (request, response) => this.#onRequest(where, needsToken, request, response),
      isWatching: (socket) => this.#stream.has(socket),
      onError: (error) => this.#logger.error({ err: error }, 'admin listener'),
    })
  }

  /** `needsToken`: who looks needs it, too. */
  #onRequest(where: Address, needsToken: boolean, request: IncomingMessage, response: ServerResponse): void {
    const { method = '', url = '/', headers } = request
    response.on('error', () => {})
    for (const [name, value] of Object.entries(commonFields)) response.setHeader(name, value)
    response.setHeader('content-security-policy', noContentPolicy)
    if (where.kind === 'tcp' && !isOwnHost(headers.host, this.#names))
      return answer(response, 421, 'the Host field does not name this listener; use its address, or localhost')
    if (isFromElsewhere(method, headers)) return answer(response, 403, 'this is not for pages of other sites')
    const [path = '/'] = url.split('?')
    const lookup = findEndpoint(method, path)
    switch (lookup.kind) {
      case 'missing':
        return answer(response, 404, 'there is no such page')
      case 'wrong-method':
        response.setHeader('allow', lookup.allow)
        return answer(response, 405, `${lookup.allow} only`)
      case 'found': {
        const by = whoIs(request)
        this.#serve(lookup.match, needsToken, request, response).catch((error: unknown) => {
          // A client that leaves before its request is whole is its own affair.
          if (request.readableAborted) return this.#logger.debug({ by }, 'admin listener: a client left in its request')
          this.#logger.error({ err: error }, 'admin listener: a request failed')
          if (response.headersSent) response.destroy()
          else answer(response, 500, 'that failed; the log says why')
        })
      }
    }
  }

  async #serve(match: EndpointMatch, needsToken: boolean, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (endpointTable[match.name].method === 'POST') return this.#change(match, request, response)
    // Those who only ask whether it lives learn nothing else, and are often unable to know a token.
    const isCheck = match.name === 'alive' || match.name === 'ready'
    if (needsToken && !isCheck && !knowsToken(request.headers.authorization, this.#token)) {
      response.setHeader('www-authenticate', 'Basic realm="eproxy", charset="UTF-8"')
      return answer(response, 401, 'send the token: Authorization: Bearer TOKEN, or as a password with any name')
    }
    switch (match.name) {
      case 'page':
        response.setHeader('content-security-policy', this.#page.contentPolicy)
        return send(response, 200, 'text/html; charset=utf-8', this.#page.html)
      case 'metrics':
        return send(response, 200, expositionType, await this.#renderMetrics())
      case 'alive':
        return answer(response, 200, 'alive')
      case 'ready': {
        const reasons = judgeReadiness(await this.#ask(), this.#isDraining)
        return reasons.length === 0 ? answer(response, 200, 'ready') : answer(response, 503, reasons.join('\n'))
      }
      case 'status':
        return sendJson(response, 200, { ...(this.#last ?? this.#look(await this.#ask())), history: this.#board.history })
      case 'events':
        return this.#openStream(request, response)
      case 'config': {
        const { describeConfig } = this.#controls
        return describeConfig === undefined
          ? answer(response, 501, notHere)
          : send(response, 200, 'text/plain; charset=utf-8', await describeConfig())
      }
    }
  }

  async #change({ name, words }: EndpointMatch, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#token === '') return answer(response, 403, 'nothing can be changed here: no token was configured')
    if (!bearsToken(request.headers.authorization, this.#token)) {
      response.setHeader('www-authenticate', 'Bearer')
      if (this.#refusals.take()) {
        const { untold } = this.#refusals
        this.#logger.warn({ by: whoIs(request), change: name, untold }, 'admin listener: a change without the token was refused')
      }
      return answer(response, 401, 'send the token: Authorization: Bearer TOKEN')
    }
    const body = await readBody(request)
    if (body === undefined) {
      response.setHeader('connection', 'close')
      return answer(response, 413, `the body is longer than ${bodyBytesMax} octets`)
    }
    const log = (what: string, outcome: string): void => {
      this.#logger.info({ by: whoIs(request), outcome }, `admin: ${what}`)
      this.#tell('change', `${what}: ${outcome}`, { by: whoIs(request) })
    }
    switch (name) {
      case 'reload':
        return this.#reload(response, log)
      case 'drain': {
        const { drain } = this.#controls
        if (drain === undefined) return answer(response, 501, notHere)
        log('drain', 'begun')
        this.beginDrain()
        // What ends with it is told first.
        response.once('finish', drain)
        return answer(response, 202, 'draining: running exchanges finish, then the process ends')
      }
      case 'logLevel': {
        const { setLogLevel } = this.#controls
        if (setLogLevel === undefined) return answer(response, 501, notHere)
        const level = body.trim()
        if (!setLogLevel(level))
          return answer(response, 400, 'there is no such level; send one of trace, debug, info, warn, error, fatal, silent')
        log('log level', level)
        return answer(response, 200, `the log level is ${level}`)
      }
      case 'enableServer':
        return this.#order(response, words, 'enabled', log)
      case 'drainServer':
        return this.#order(response, words, 'draining', log)
      case 'disableServer':
        return this.#order(response, words, 'disabled', log)
    }
  }

  async #reload(response: ServerResponse, log: (what: string, outcome: string) => void): Promise<void> {
    const { reload } = this.#controls
    if (reload === undefined) return answer(response, 501, notHere)
    try {
      await reload()
    } catch (error) {
      const { message } = error as Error
      log('reload', message)
      return answer(response, 409, message)
    }
    log('reload', 'done')
    answer(response, 200, 'reloaded')
  }

  async #order(
    response: ServerResponse,
    [group = '', server = '']: readonly string[],
    order: AdminState,
    log: (what: string, outcome: string) => void,
  ): Promise<void> {
    const isKnown = await this.#subject.setServerState(group, server, order)
    if (!isKnown) return answer(response, 404, `there is no server ${server} in a group ${group}`)
    log(`server ${group}/${server}`, order)
    answer(response, 200, `server ${server} of group ${group}: ${order}`)
  }

  /**
   * The figures of a moment after this call. However many ask, processes that serve are asked once at a time: those who come meanwhile share
   * the next answer.
   */
  #ask(): Promise<GroupStats> {
    if (this.#asking === undefined) return (this.#asking = this.#subject.stats().finally(() => (this.#asking = undefined)))
    const start = (): Promise<GroupStats> => {
      this.#askingNext = undefined
      return this.#ask()
    }
    return (this.#askingNext ??= this.#asking.then(start, start))
  }

  async #renderMetrics(): Promise<string> {
    const stats = await this.#ask()
    return renderMetrics({
      stats,
      version: this.#version,
      startedAt: this.#startedAt,
      isReady: judgeReadiness(stats, this.#isDraining).length === 0,
      isDraining: this.#isDraining,
      reloads: this.#readReloads(),
    })
  }

  #openStream(request: IncomingMessage, response: ServerResponse): void {
    if (this.#stream.isFull) return answer(response, 503, `${readersMax} readers watch already`)
    if (request.method === 'HEAD') return send(response, 200, 'text/event-stream; charset=utf-8', '')
    // It stays open, and says nothing for as long as nothing happens.
    request.socket.setTimeout(0)
    const first: [string, object][] = [['history', this.#board.history]]
    if (this.#last !== undefined) first.push(['status', this.#last])
    for (const event of this.#recent) first.push(['live', event])
    this.#stream.add(response, first)
  }

  /** What happens is asked for only while somebody watches. */
  #onReaders(readers: number): void {
    this.#subject.watch(readers === 0 ? undefined : (event) => this.#onEvent(event))
  }

  #onEvent(event: LiveEvent): void {
    this.#recent.push(event)
    if (this.#recent.length > eventsKept) this.#recent.shift()
    this.#stream.send('live', event)
  }

  #tell(kind: LiveEventKind, text: string, fields: LiveEvent['fields']): void {
    this.#onEvent({ at: Date.now(), kind, worker: 0, text, fields })
  }

  async #tick(): Promise<void> {
    // Workers that do not answer are waited for; a second question would not make them faster.
    if (this.#isTicking) return
    this.#isTicking = true
    try {
      this.#stream.send('status', this.#look(await this.#ask()))
    } catch (error) {
      this.#logger.error({ err: error }, 'admin listener: the figures could not be read')
    } finally {
      this.#isTicking = false
    }
  }

  /** Reloads come from a signal or a change of the file, too. */
  #readReloads(): ReloadFigures {
    const before = this.#reloads
    this.#reloads = this.#controls.reloadFigures?.() ?? noReloads
    const { succeeded, failed } = this.#reloads
    if (succeeded > before.succeeded) this.#tell('reload', 'the configuration was read again', {})
    if (failed > before.failed) this.#tell('reload', 'the configuration is wrong and stays as it was; the log says why', {})
    return this.#reloads
  }

  #look(stats: GroupStats): StatusDocument {
    return (this.#last = this.#board.add(Date.now(), stats, {
      version: this.#version,
      startedAt: this.#startedAt,
      isDraining: this.#isDraining,
      reloads: this.#readReloads(),
    }))
  }
}

/** Whoever listens for others is called by the name of the machine, too. */
function namesOf(where: Address, isPublic: boolean): readonly string[] {
  const host = where.kind === 'tcp' ? where.host : ''
  return [host.toLowerCase(), isPublic ? hostname().toLowerCase() : ''].filter((name) => name !== '')
}

const noReloads: ReloadFigures = Object.freeze({ succeeded: 0, failed: 0, isLastGood: true })
const notHere = 'this proxy cannot do that'

function answer(response: ServerResponse, status: number, text: string): void {
  send(response, status, 'text/plain; charset=utf-8', `${text}\n`)
}

function sendJson(response: ServerResponse, status: number, document: object): void {
  send(response, status, 'application/json', `${JSON.stringify(document)}\n`)
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}

/** Undefined when it is too long. Rejects when the client leaves in it. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  if (Number(request.headers['content-length'] ?? 0) > bodyBytesMax) return undefined
  let body = ''
  // The answer goes by the same connection: it stays, whatever is left of the body.
  for await (const chunk of request.setEncoding('utf8').iterator({ destroyOnReturn: false }) as AsyncIterable<string>) {
    body += chunk
    if (body.length > bodyBytesMax) return undefined
  }
  return body
}

/** For the log: which connection, and which program. */
function whoIs({ socket, headers }: IncomingMessage): string {
  // It may end on a terminal.
  const agent = (headers['user-agent'] ?? '').replace(/[^\x20-\x7e]/g, '?')
  const address = socket.remoteAddress === undefined ? 'unix' : `${socket.remoteAddress}:${socket.remotePort}`
  return agent === '' ? address : `${address} ${agent.slice(0, 100)}`
}
