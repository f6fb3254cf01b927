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
} from '../../native-free-parser/index.ts'
import { contradiction } from '../core/assert.ts'
import { ProxyError } from '../core/errors.ts'
import { mergeConfig, type Limits, type ProxyConfig } from '../core/options.ts'
import type { GroupOptions, ListenerOptions, RouteOptions, ServiceOptions } from '../core/service-options.ts'
import { Spares } from '../core/spares.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import type { LocalResponse } from './local-response.ts'
import { makeRetry, plainRetry } from './retry.ts'
import type { Route } from './route.ts'

export interface ListenerPolicy {
  readonly config: ProxyConfig
  /** Undefined when there is no more to the configuration than the options of the engine. */
  readonly listener: ListenerOptions | undefined
  /** Parsers with the limits of this policy, of which a connection has one for the length of an exchange. */
  readonly parsers: Spares<MessageParser<'request'>>
  routeFor(head: RequestHead): Route
}

/** A burst of so many exchanges leaves no garbage behind; what goes beyond is collected. */
export const sparesMax = 1_024

/** One group of servers, and every request goes there. */
export function makePlainPolicy(config: ProxyConfig, group: UpstreamGroup, engine: ParserEngine): ListenerPolicy {
  const route = makePlainRoute(config, group)
  return { config, listener: undefined, parsers: makeRequestParsers(engine, config.limits), routeFor: () => route }
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
    .map((row) => makeRoute(row, own, service, groups))
  const fallback = routes.length === 0 && groups.size === 1 ? toOnlyGroup(own, service, groups) : nowhere(own)
  return {
    config: own,
    listener,
    parsers: makeRequestParsers(engine, own.limits),
    routeFor: () => routes[0] ?? fallback,
  }
}

/** Throws ProxyError ERR_EPROXY_OPTION where `makePolicy` would for one of the listeners. */
export function checkPolicies(config: ProxyConfig): void {
  const { service } = config
  if (service === undefined) return
  for (const listener of service.listeners) mergeConfig(config, listener)
  for (const { name, action, timeouts, retry, mirror } of service.routes) {
    mergeConfig(config, { timeouts })
    if (retry !== undefined) makeRetry(retry)
    for (const group of [action.kind === 'proxy' ? action.group : undefined, mirror?.group]) {
      if (group !== undefined && !Object.hasOwn(service.groups, group))
        throw new ProxyError('ERR_EPROXY_OPTION', `route ${name}: there is no group ${group}`)
    }
  }
}

function makeRoute(
  { name, action, timeouts, retry, mirror }: RouteOptions,
  config: ProxyConfig,
  { groups: options }: ServiceOptions,
  groups: ReadonlyMap<string, UpstreamGroup>,
): Route {
  if (action.kind !== 'proxy') return Object.freeze({ ...nowhere(mergeConfig(config, { timeouts })), name })
  const own = mergeConfig(forGroup(config, options[action.group]!), { timeouts })
  return Object.freeze({
    name,
    config: own,
    group: groups.get(action.group)!,
    retry: retry === undefined ? plainRetry(own.pool.attempts) : makeRetry(retry),
    mirror: mirror === undefined || mirror.share <= 0 ? undefined : { group: groups.get(mirror.group)!, share: mirror.share },
    answer: undefined,
  })
}

/** What an exchange has to know of its group: how long it may wait there, and how many servers it tries. */
function forGroup(config: ProxyConfig, { timeouts, pool }: GroupOptions): ProxyConfig {
  return mergeConfig(config, { timeouts, pool })
}

function makePlainRoute(config: ProxyConfig, group: UpstreamGroup): Route {
  return Object.freeze({ name: '', config, group, retry: plainRetry(config.pool.attempts), mirror: undefined, answer: undefined })
}

function toOnlyGroup(config: ProxyConfig, { groups: options }: ServiceOptions, groups: ReadonlyMap<string, UpstreamGroup>): Route {
  const [[name, group]] = [...groups] as [[string, UpstreamGroup]]
  return makePlainRoute(forGroup(config, options[name]!), group)
}

const notFound: LocalResponse = Object.freeze({
  status: 404,
  error: 'destination_not_found',
  details: 'no route matches this request',
  fields: '',
})

function nowhere(config: ProxyConfig): Route {
  return Object.freeze({
    name: '',
    config,
    group: undefined,
    retry: plainRetry(1),
    mirror: undefined,
    answer: () => notFound,
  })
}

function refuseUse(): never {
  contradiction('a parser that no connection has is fed')
}

const nobody: MessageHandler<RequestHead> = { onHead: refuseUse, onBody: refuseUse, onTrailers: refuseUse, onMessageComplete: refuseUse }

function makeRequestParsers(engine: ParserEngine, limits: Limits): Spares<MessageParser<'request'>> {
  const own = parserLimits(limits, 'request')
  return new Spares(() => new MessageParser('request', engine, nobody, own), sparesMax)
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
