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
import type { ListenerOptions, RouteOptions, ServiceOptions } from '../core/service-options.ts'
import { Spares } from '../core/spares.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import { checkTrustedPeers, TrustedPeers } from './client.ts'
import { checkGroupHost, checkListenerFields, checkRouteFields, makeHeadPolicy } from './head-policy.ts'
import type { LocalResponse } from './local-response.ts'
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
}

/** A burst of so many exchanges leaves no garbage behind; what goes beyond is collected. */
export const sparesMax = 1_024

/** One group of servers, and every request goes there. */
export function makePlainPolicy(config: ProxyConfig, group: UpstreamGroup, engine: ParserEngine): ListenerPolicy {
  const heads = makeHeadPolicy({ forwarded: config.forwarded, listener: undefined, route: undefined, group: '', host: 'preserve' })
  const route: Route = Object.freeze({ name: '', config, group, heads, requestBodyBytes: 0, tolerated: noRules, answer: undefined })
  return {
    config,
    listener: undefined,
    parsers: makeRequestParsers(engine, config.limits, noRules),
    trusted: null,
    readsClient: heads !== null,
    routeFor: () => route,
  }
}

/** `groups` has every group of the configuration, by name. The listener is one of those of `service`, or undefined for one that it does not name. */
export function makePolicy(
  config: ProxyConfig,
  service: ServiceOptions,
  listener: ListenerOptions | undefined,
  groups: ReadonlyMap<string, UpstreamGroup>,
  engine: ParserEngine,
): ListenerPolicy {
  const own = listener === undefined ? config : mergeConfig(config, listener)
  const chosen = listener?.routes
  const routes = service.routes
    .filter(({ name }) => chosen === undefined || chosen.includes(name))
    .map((row) => makeRoute(row, own, listener, service, groups))
  const fallback = routes.length === 0 && groups.size === 1 ? toOnlyGroup(own, listener, service, groups) : nowhere(own, listener)
  const trusted = listener === undefined || listener.trustedProxies.length === 0 ? null : new TrustedPeers(listener.trustedProxies)
  return {
    config: own,
    listener,
    parsers: makeRequestParsers(engine, own.limits, new Set([fallback, ...routes].flatMap(({ tolerated }) => [...tolerated]))),
    trusted,
    readsClient: trusted !== null || [fallback, ...routes].some(({ heads }) => heads !== null),
    routeFor: () => routes[0] ?? fallback,
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
    checkRuleActions(listener.rules ?? {}, `listener ${listener.address}: rules`)
  }
  for (const [name, { host }] of Object.entries(service.groups)) checkGroupHost(name, host)
  for (const route of service.routes) {
    const { name, action, timeouts } = route
    mergeConfig(config, { timeouts })
    checkRouteFields(route)
    checkRuleActions(route.rules, `route ${name}: rules`)
    if (action.kind === 'proxy' && !Object.hasOwn(service.groups, action.group))
      throw new ProxyError('ERR_EPROXY_OPTION', `route ${name}: there is no group ${action.group}`)
  }
}

function makeRoute(
  row: RouteOptions,
  config: ProxyConfig,
  listener: ListenerOptions | undefined,
  { groups: options }: ServiceOptions,
  groups: ReadonlyMap<string, UpstreamGroup>,
): Route {
  const { name, action, timeouts } = row
  const own = timeouts === undefined ? config : mergeConfig(config, { timeouts })
  const group = action.kind === 'proxy' ? action.group : ''
  const host = options[group]?.host ?? 'preserve'
  const common = {
    name,
    config: own,
    heads: makeHeadPolicy({ forwarded: own.forwarded, listener, route: row, group, host }),
    requestBodyBytes: row.requestBodyBytes ?? listener?.requestBodyBytes ?? 0,
    tolerated: toleratedRules(listener?.rules, row.rules),
  }
  if (action.kind === 'proxy') return Object.freeze({ ...common, group: groups.get(group)!, answer: undefined })
  return Object.freeze({ ...common, group: undefined, answer: () => notFound })
}

function toOnlyGroup(
  config: ProxyConfig,
  listener: ListenerOptions | undefined,
  { groups: options }: ServiceOptions,
  groups: ReadonlyMap<string, UpstreamGroup>,
): Route {
  const [[name, group]] = [...groups] as [[string, UpstreamGroup]]
  return Object.freeze({ ...withoutRoute(config, listener, name, options[name]!.host), group, answer: undefined })
}

/** What the listener alone says. */
function withoutRoute(
  config: ProxyConfig,
  listener: ListenerOptions | undefined,
  group: string,
  host: string,
): Omit<Route, 'group' | 'answer'> {
  return {
    name: '',
    config,
    heads: makeHeadPolicy({ forwarded: config.forwarded, listener, route: undefined, group, host }),
    requestBodyBytes: listener?.requestBodyBytes ?? 0,
    tolerated: toleratedRules(listener?.rules),
  }
}

const noRules: ReadonlySet<RuleId> = new Set()

const notFound: LocalResponse = Object.freeze({
  status: 404,
  error: 'destination_not_found',
  details: 'no route matches this request',
  fields: '',
})

function nowhere(config: ProxyConfig, listener: ListenerOptions | undefined): Route {
  return Object.freeze({ ...withoutRoute(config, listener, '', 'preserve'), group: undefined, answer: () => notFound })
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
