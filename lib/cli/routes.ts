/**
 * The texts of `eproxy-raw routes`: the order in which routes are tried, and the way of one request through them. The router that is asked is the one that
 * the proxy has; reasons are found by comparing one by one, and are only told for routes that it did not take.
 */
import { createParser, ParseError, ParserEngine, ruleTable, type RequestHead } from '../../native-free-parser/index.ts'
import type { Paint } from '../conformance/paint.ts'
import type { ListenerOptions, RouteOptions, ServiceOptions } from '../core/service-options.ts'
import { explainMismatch } from '../route/explain.ts'
import { readHost } from '../route/host.ts'
import { RedirectTemplate } from '../route/redirect.ts'
import { PathRewrite } from '../route/rewrite.ts'
import { Router, type Entry } from '../route/router.ts'
import { inWordsOf } from './command-line.ts'

interface RouteSet {
  /** Addresses of the listeners that have exactly these routes. */
  readonly listeners: readonly string[]
  readonly router: Router<RouteOptions>
}

export interface RoutesRequest {
  /** The head of a request, undefined to list all routes. */
  readonly request: string | undefined
  readonly isJson: boolean
}

/** Throws ProxyError ERR_EPROXY_OPTION for a request that no parser would take. */
export function describeRoutes(service: ServiceOptions, { request, isJson }: RoutesRequest, paint: Paint): string {
  const sets = groupListeners(service)
  const head = request === undefined ? undefined : parseHead(request)
  if (isJson) {
    const found = sets.map((set) => ({
      listeners: set.listeners,
      ...(head === undefined ? { routes: set.router.entries.map(toJson) } : explain(set, head)),
    }))
    return `${JSON.stringify(found, null, 2)}\n`
  }
  return sets
    .map((set) => {
      const title = sets.length === 1 ? '' : `${paint('bold', set.listeners.join(', ') || 'no listener')}\n\n`
      return title + (head === undefined ? listEntries(set.router.entries, paint) : writeExplanation(explain(set, head), paint))
    })
    .join('\n')
}

function groupListeners({ listeners, routes }: ServiceOptions): readonly RouteSet[] {
  const sets = new Map<string, { listeners: string[]; routes: readonly RouteOptions[] }>()
  const choose = ({ routes: names }: ListenerOptions): readonly RouteOptions[] =>
    names === undefined ? routes : routes.filter(({ name }) => names.includes(name))
  for (const listener of listeners) {
    const chosen = choose(listener)
    const key = JSON.stringify(chosen.map(({ name }) => name))
    const set = sets.get(key)
    if (set === undefined) sets.set(key, { listeners: [listener.address], routes: chosen })
    else set.listeners.push(listener.address)
  }
  return [...sets.values()].map((set) => ({
    listeners: set.listeners,
    router: new Router(set.routes.map((route) => ({ name: route.name, match: route.match, route }))),
  }))
}

function parseHead(request: string): RequestHead {
  let head: RequestHead | undefined
  const handler = { onHead: (found: RequestHead) => void (head = found), onBody() {}, onTrailers() {}, onMessageComplete() {} }
  const limits = { headBytes: 1_048_576, fields: 10_000, startLineBytes: 65_536 }
  inWordsOf('explain', () =>
    createParser('request', handler, limits, new ParserEngine({ slots: 1 })).execute(Buffer.from(request, 'latin1')),
  )
  return head!
}

// A list

function listEntries(entries: readonly Entry<RouteOptions>[], paint: Paint): string {
  if (entries.length === 0) return 'There are no routes: every request goes to the only upstream, or is answered with 404.\n'
  const rows = entries.map((entry, index) => [
    String(index + 1),
    entry.row.name,
    writeHost(entry),
    writePath(entry),
    String(entry.conditions),
    writeAction(entry.row.route),
  ])
  const titles = ['', 'route', 'host', 'path', 'conditions', 'leads to']
  const widths = titles.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const write = (cells: readonly string[], style: (text: string, column: number) => string): string =>
    cells
      .map((cell, column) => style(column === cells.length - 1 ? cell : cell.padEnd(widths[column]!), column))
      .join('  ')
      .trimEnd()
  const lines = [
    write(titles, (text) => paint('dim', text)),
    ...rows.map((row) => write(row, (text, column) => (column === 1 ? paint('bold', text) : text))),
  ]
  return `${lines.join('\n')}\n`
}

function writeHost({ host }: Entry<RouteOptions>): string {
  return host === undefined ? 'any' : `${host.isWildcard ? '*.' : ''}${host.name}`
}

function writePath({ path }: Entry<RouteOptions>): string {
  switch (path.kind) {
    case 'any':
      return 'any'
    case 'pattern':
      return `pattern ${path.pattern.text}`
    default:
      return `${path.kind} ${path.text}`
  }
}

function writeAction({ action, rewrite, allow, deny }: RouteOptions): string {
  const limited = allow.length + deny.length > 0 ? ', not for every address' : ''
  switch (action.kind) {
    case 'proxy':
      return `upstream ${action.group}${rewrite === undefined ? '' : `, rewritten to ${rewrite.prefix}`}${limited}`
    case 'redirect':
      return `${action.status} to ${action.location}${limited}`
    case 'answer':
      return `answer ${action.status}${limited}`
  }
}

function toJson(entry: Entry<RouteOptions>, index: number): object {
  const { row, path } = entry
  const { methods, headers } = row.match
  return {
    order: index + 1,
    name: row.name,
    host: writeHost(entry),
    path: path.kind === 'any' ? null : { [path.kind]: path.kind === 'pattern' ? path.pattern.text : path.text },
    methods,
    headers,
    action: row.route.action,
  }
}

// One request

interface Explanation {
  readonly method: string
  readonly target: string
  readonly host: string
  /** In its normal form. */
  readonly path: string
  /** Name of the route that is taken. */
  readonly route: string | null
  /** Id of the rule that refuses the request. */
  readonly refused: string | null
  /** What becomes of the request on that route. */
  readonly result: string
  /** Of a path that is refused: how it can be read, and where that leads. */
  readonly readings: readonly { readonly path: string; readonly route: string | null }[]
  readonly tried: readonly {
    readonly order: number
    readonly name: string
    readonly host: string
    readonly path: string
    readonly why: string
  }[]
}

function explain({ router }: RouteSet, head: RequestHead): Explanation {
  const readings = router.readings(head)
  const host = readHost(head)
  const path = readings[0]!.path
  let taken: RouteOptions | undefined
  let refused: ParseError | undefined
  try {
    taken = router.find(head)
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    refused = error
  }
  const last =
    taken === undefined
      ? router.entries.length
      : router.entries.findIndex((entry) => entry.row.route === taken && explainMismatch(entry, head, host, path) === '')
  return {
    method: head.method,
    target: head.target,
    host,
    path,
    route: taken?.name ?? null,
    refused: refused?.rule ?? null,
    result: refused === undefined ? describeResult(taken, head) : `${refused.status}: ${ruleTable[refused.rule].refuses}`,
    readings: refused === undefined ? [] : readings.map((one) => ({ path: one.path, route: one.route?.name ?? null })),
    tried: router.entries.slice(0, last).map((entry, index) => ({
      order: index + 1,
      name: entry.row.name,
      host: writeHost(entry),
      path: writePath(entry),
      why: explainMismatch(entry, head, host, path),
    })),
  }
}

function describeResult(route: RouteOptions | undefined, head: RequestHead): string {
  if (route === undefined) return '404: no route matches the request'
  const { action, rewrite, match } = route
  switch (action.kind) {
    case 'proxy':
      return `to upstream ${action.group} as ${head.method} ${rewrite === undefined ? head.target : new PathRewrite(match.path, rewrite.prefix).apply(head)}`
    case 'redirect':
      return `${action.status} to ${new RedirectTemplate(action.location).fill(head)}`
    case 'answer':
      return `answered here with ${action.status}`
  }
}

function writeExplanation({ method, target, host, path, route, refused, result, readings, tried }: Explanation, paint: Paint): string {
  const width = Math.max(0, ...tried.map(({ name }) => name.length), (route ?? '').length)
  const digits = String(tried.length + 1).length
  const line = (mark: string, order: string, name: string, text: string): string =>
    `${mark} ${order.padStart(digits)}  ${name.padEnd(width)}  ${text}`
  const lines = [
    `${paint('bold', method)} ${target}`,
    paint('dim', `host ${host === '' ? 'none' : host}, path ${path}`),
    '',
    // A path that is refused took no route, for no fault of theirs.
    ...(refused === null ? tried.map((one) => paint('dim', line('-', String(one.order), one.name, one.why))) : []),
  ]
  if (refused !== null) {
    lines.push(`${paint('red', refused)}  ${result}`)
    lines.push(...readings.map((one) => `  ${one.path}  ${paint('dim', `leads to ${one.route ?? 'no route'}`)}`))
  } else if (route === null) lines.push(paint('yellow', result))
  else lines.push(paint('green', line('+', String(tried.length + 1), route, result)))
  return `${lines.join('\n')}\n`
}
