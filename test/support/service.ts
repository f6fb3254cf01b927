/** Configurations for tests: complete, with nothing in them that the test does not name. */
import type {
  GroupOptions,
  ListenerOptions,
  RetryOptions,
  RouteOptions,
  ServerOptions,
  ServiceOptions,
} from '../../lib/core/service-options.ts'

export const anyRequest: RouteOptions['match'] = { hosts: [], methods: [], headers: {} }
const noEdits: RouteOptions['requestHeaders'] = { remove: [], set: {}, add: {} }

export const listener: ListenerOptions = {
  address: '127.0.0.1:0',
  profile: 'raw',
  trustedProxies: [],
  rateLimits: [],
  connectionsPerClient: 0,
  requestBodyBytes: 0,
}

/** Takes every request. */
export function routeTo(group: string, more: Partial<RouteOptions> = {}): RouteOptions {
  return {
    name: `to-${group}`,
    match: anyRequest,
    action: { kind: 'proxy', group },
    requestHeaders: noEdits,
    responseHeaders: noEdits,
    rateLimits: [],
    allow: [],
    deny: [],
    rules: {},
    ...more,
  }
}

/** Servers take turns. */
export function groupOf(servers: readonly (string | ServerOptions)[], more: Partial<GroupOptions> = {}): GroupOptions {
  return {
    servers: servers.map((server) => (typeof server === 'string' ? { address: server, weight: 1, backup: false } : server)),
    balance: 'round-robin',
    hashOn: { kind: 'client' },
    stickyCookie: '',
    slowStartMs: 0,
    panicShare: 0,
    resolveAll: false,
    host: 'preserve',
    ...more,
  }
}

export function serviceOf(groups: Readonly<Record<string, GroupOptions>>, ...routes: readonly RouteOptions[]): ServiceOptions {
  return { listeners: [listener], groups, routes, rateLimits: {} }
}

/** Every reason, one more server, and no budget that a test would notice. */
export const anyRetry: RetryOptions = { attempts: 1, on: ['connect', 'closed', 'timeout', 503], budget: 1, budgetMin: 10 }

/** One listener, one route named `all`, one group named `app`: for what each of them says. */
export interface ServiceParts {
  readonly listener?: Partial<ListenerOptions>
  readonly route?: Partial<RouteOptions>
  readonly group?: Partial<GroupOptions>
}

export function serviceFor(upstream: string, parts: ServiceParts = {}): ServiceOptions {
  const route = routeTo('app', { name: 'all', ...parts.route })
  return { ...serviceOf({ app: groupOf([upstream], parts.group) }, route), listeners: [{ ...listener, ...parts.listener }] }
}
