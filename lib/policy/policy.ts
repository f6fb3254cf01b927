/**
 * What applies to the connections of one listener: its options, and a route for each request. Made as a whole from the configuration, and
 * replaced as a whole when that is read again; an exchange keeps the one it began with.
 */
import {
  MessageParser,
  type MessageHandler,
  type ParserEngine,
  type ParserLimits,
  type RequestHead,
  type RuleId,
} from '../../native-free-parser/index.ts'
import { contradiction } from '../core/assert.ts'
import { ProxyError } from '../core/errors.ts'
import { mergeConfig, type Limits, type ProxyConfig } from '../core/options.ts'
import type { GroupOptions, ListenerOptions, RouteOptions, ServiceOptions } from '../core/service-options.ts'
import { Spares } from '../core/spares.ts'
import { checkRateLimits, type RateLimiter } from '../limit/rate-limiter.ts'
import { AccessList } from '../route/access.ts'
import { RedirectTemplate } from '../route/redirect.ts'
import { PathRewrite } from '../route/rewrite.ts'
import { Router } from '../route/router.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import { checkTrustedPeers, TrustedPeers } from './client.ts'
import { checkErrorPages, makeErrorPages, type ErrorPages } from './error-pages.ts'
import { checkGroupHost, checkListenerFields, checkRouteFields, makeHeadPolicy } from './head-policy.ts'
import { toOctets, type LocalResponse } from './local-response.ts'
import { makeRetry, plainRetry } from './retry.ts'
import type { Route } from './route.ts'
import { checkRuleActions, toleratedRules } from './rule-actions.ts'

export interface ListenerPolicy {
  readonly config: ProxyConfig
  /** Undefined when there is no more to the configuration than the options of the engine. */
  readonly listener: ListenerOptions | undefined
  /** Parsers with the limits of this policy, of which a connection has one for the length of an exchange. */
  readonly parsers: Spares<MessageParser<'request'>>
  /** Peers whose word of others counts; null: nobody's. */
  readonly trusted: TrustedPeers | null
  /** Something depends on who the client is, and how it asked. */
  readonly readsClient: boolean
  routeFor(head: RequestHead): Route
  /** What no route matches goes here; its heads and pages are also for those of whose request no head is known. */
  readonly fallback: Route
}

/** A burst of so many exchanges leaves no garbage behind; what goes beyond is collected. */
export const sparesMax = 1_024

/** One group of servers, and every request goes there. */
export function makePlainPolicy(config: ProxyConfig, group: UpstreamGroup, engine: ParserEngine): ListenerPolicy {
  const route = makePlainRoute(config, group, null, null)
  return {
    config,
    listener: undefined,
    parsers: makeRequestParsers(engine, config.limits, route.tolerated),
    trusted: null,
    readsClient: route.heads !== null,
    routeFor: () => route,
    fallback: route,
  }
}

/** `groups` has every group of the configuration, by name. The listener is one of those of `service`, or undefined for one that it does not name. */
export function makePolicy(
  config: ProxyConfig,
  service: ServiceOptions,
  listener: ListenerOptions | undefined,
  groups: ReadonlyMap<string, UpstreamGroup>,
  engine: ParserEngine,
  limiter: RateLimiter,
): ListenerPolicy {
  const own = listener === undefined ? config : mergeConfig(config, listener)
  const chosen = listener?.routes
  const limitNames = listener?.rateLimits ?? []
  const pages = makeErrorPages(listener?.errorPages, null)
  const limitsOf = ({ name, rateLimits }: RouteOptions): Route['limits'] => limiter.bind([...limitNames, ...rateLimits], name)
  const routes = service.routes
    .filter(({ name }) => chosen === undefined || chosen.includes(name))
    .map((row) => ({ name: row.name, match: row.match, route: makeRoute(row, own, listener, service, groups, limitsOf(row), pages) }))
  const router = new Router(routes)
  const limits = limiter.bind(limitNames, '')
  const fallback =
    routes.length === 0 && groups.size === 1
      ? toOnlyGroup(own, listener, service, groups, limits, pages)
      : makePlainRoute(own, undefined, limits, pages, listener)
  const all = [fallback, ...routes.map(({ route }) => route)]
  const trusted = listener === undefined || listener.trustedProxies.length === 0 ? null : new TrustedPeers(listener.trustedProxies)
  return {
    config: own,
    listener,
    parsers: makeRequestParsers(engine, own.limits, new Set(all.flatMap(({ tolerated }) => [...tolerated]))),
    trusted,
    readsClient: trusted !== null || all.some(({ heads }) => heads !== null),
    routeFor: (head) => router.find(head) ?? fallback,
    fallback,
  }
}

/** Throws ProxyError ERR_EPROXY_OPTION where `makePolicy` would for one of the listeners. */
export function checkPolicies(config: ProxyConfig): void {
  const { service } = config
  if (service === undefined) return
  for (const listener of service.listeners) {
    mergeConfig(config, listener)
    checkTrustedPeers(listener)
    checkListenerFields(listener)
    checkErrorPages(listener.errorPages ?? {}, `listener ${listener.address}: errorPages`)
    checkRuleActions(listener.rules ?? {}, `listener ${listener.address}: rules`)
  }
  for (const [name, { host }] of Object.entries(service.groups)) checkGroupHost(name, host)
  checkRateLimits(service)
  void new Router(service.routes.map(({ name, match }) => ({ name, match, route: name })))
  for (const route of service.routes) {
    const { name, action, timeouts, retry, mirror } = route
    mergeConfig(config, { timeouts })
    if (retry !== undefined) makeRetry(retry)
    checkRouteFields(route)
    checkErrorPages(route.errorPages ?? {}, `route ${name}: errorPages`)
    checkRuleActions(route.rules, `route ${name}: rules`)
    for (const group of [action.kind === 'proxy' ? action.group : undefined, mirror?.group]) {
      if (group !== undefined && !Object.hasOwn(service.groups, group))
        throw new ProxyError('ERR_EPROXY_OPTION', `route ${name}: there is no group ${group}`)
    }
    makeActions(route)
  }
}

function makeRoute(
  options: RouteOptions,
  config: ProxyConfig,
  listener: ListenerOptions | undefined,
  { groups: groupOptions }: ServiceOptions,
  groups: ReadonlyMap<string, UpstreamGroup>,
  limits: Route['limits'],
  pages: ErrorPages | null,
): Route {
  const { name, action, timeouts, retry, mirror } = options
  const isProxied = action.kind === 'proxy'
  const group = isProxied ? action.group : ''
  const host = groupOptions[group]?.host ?? 'preserve'
  const own = mergeConfig(isProxied ? forGroup(config, groupOptions[action.group]!) : config, { timeouts })
  return Object.freeze({
    name,
    config: own,
    group: isProxied ? groups.get(group)! : undefined,
    heads: makeHeadPolicy({ forwarded: own.forwarded, listener, route: options, group, host }),
    pages: makeErrorPages(options.errorPages, pages),
    requestBodyBytes: options.requestBodyBytes ?? listener?.requestBodyBytes ?? 0,
    tolerated: toleratedRules(listener?.rules, options.rules),
    retry: retry === undefined ? plainRetry(own.pool.attempts) : makeRetry(retry),
    mirror: mirror === undefined || mirror.share <= 0 ? undefined : { group: groups.get(mirror.group)!, share: mirror.share },
    limits,
    ...makeActions(options),
  })
}

/** What an exchange has to know of its group: how long it may wait there, and how many servers it tries. */
function forGroup(config: ProxyConfig, { timeouts, pool }: GroupOptions): ProxyConfig {
  return mergeConfig(config, { timeouts, pool })
}

function makeActions({ name, match, action, rewrite, allow, deny }: RouteOptions): Pick<Route, 'access' | 'rewrite' | 'answer'> {
  try {
    return {
      access: allow.length + deny.length === 0 ? null : new AccessList(allow, deny),
      rewrite: rewrite === undefined ? null : new PathRewrite(match.path, rewrite.prefix),
      answer: makeAnswer(action),
    }
  } catch (error) {
    throw new ProxyError('ERR_EPROXY_OPTION', `route ${name}: ${(error as Error).message}`, error)
  }
}

function makeAnswer(action: RouteOptions['action']): Route['answer'] {
  switch (action.kind) {
    case 'proxy':
      return undefined
    case 'redirect': {
      const { status } = action
      const template = new RedirectTemplate(action.location)
      return (head) => ({ status, error: '', details: '', fields: `Location: ${template.fill(head)}\r\n` })
    }
    case 'answer': {
      const { status, contentType, body } = action
      if (!Number.isInteger(status) || status < 200 || status > 599)
        throw new ProxyError('ERR_EPROXY_OPTION', `the status of an answer is a whole number from 200 to 599, not ${status}`)
      if (!/^[\x20-\x7e]*$/.test(contentType)) throw new ProxyError('ERR_EPROXY_OPTION', 'contentType is not ASCII in one line')
      const answer: LocalResponse = Object.freeze({
        status,
        error: '',
        details: '',
        fields: '',
        // An error that says nothing has its page, as any other.
        ...((status < 400 || body !== '') && { content: Object.freeze({ type: contentType.trim(), octets: toOctets(body) }) }),
      })
      return () => answer
    }
  }
}

/** To the only group, or to none: what no route matches. Of its heads and bodies is true what the listener says. */
function makePlainRoute(
  config: ProxyConfig,
  group: UpstreamGroup | undefined,
  limits: Route['limits'],
  pages: ErrorPages | null,
  listener?: ListenerOptions,
  groupName = '',
  host = 'preserve',
): Route {
  return Object.freeze({
    name: '',
    config,
    group,
    heads: makeHeadPolicy({ forwarded: config.forwarded, listener, route: undefined, group: groupName, host }),
    pages,
    requestBodyBytes: listener?.requestBodyBytes ?? 0,
    tolerated: toleratedRules(listener?.rules),
    retry: plainRetry(config.pool.attempts),
    mirror: undefined,
    access: null,
    limits,
    rewrite: null,
    answer: undefined,
  })
}

function toOnlyGroup(
  config: ProxyConfig,
  listener: ListenerOptions | undefined,
  { groups: options }: ServiceOptions,
  groups: ReadonlyMap<string, UpstreamGroup>,
  limits: Route['limits'],
  pages: ErrorPages | null,
): Route {
  const [[name, group]] = [...groups] as [[string, UpstreamGroup]]
  return makePlainRoute(forGroup(config, options[name]!), group, limits, pages, listener, name, options[name]!.host)
}

function refuseUse(): never {
  contradiction('a parser that no connection has is fed')
}

const nobody: MessageHandler<RequestHead> = { onHead: refuseUse, onBody: refuseUse, onTrailers: refuseUse, onMessageComplete: refuseUse }

function makeRequestParsers(engine: ParserEngine, limits: Limits, tolerated: ReadonlySet<RuleId>): Spares<MessageParser<'request'>> {
  const own = parserLimits(limits, 'request')
  return new Spares(() => new MessageParser('request', engine, nobody, own, tolerated), sparesMax)
}

export function parserLimits(limits: Limits, side: 'request' | 'response'): ParserLimits {
  return Object.freeze({
    startLineBytes: side === 'request' ? limits.requestLineBytes : limits.responseHeadBytes,
    headBytes: side === 'request' ? limits.requestHeadBytes : limits.responseHeadBytes,
    fields: side === 'request' ? limits.requestFields : limits.responseFields,
    chunkSizeDigits: limits.chunkSizeDigits,
    chunkExtensionBytes: limits.chunkExtensionBytes,
    messageExtensionBytes: limits.messageExtensionBytes,
    trailerFields: limits.trailerFields,
    trailerBytes: limits.trailerBytes,
    interimResponses: limits.interimResponses,
    interimBytes: limits.interimBytes,
  })
}
