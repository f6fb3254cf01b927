/** A configuration in which nothing is on that a test does not ask for: routes, groups and a listener, to be changed where it matters. */
import type { GroupOptions, ListenerOptions, RouteOptions, ServiceOptions } from '../../lib/core/service-options.ts'

export const anyRequest: RouteOptions['match'] = { hosts: [], methods: [], headers: {} }
const noEdits: RouteOptions['requestHeaders'] = { remove: [], set: {}, add: {} }
export const routeTo = (group: string, more: Partial<RouteOptions> = {}): RouteOptions => ({
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
})
export const groupOf = (...addresses: readonly string[]): GroupOptions => ({
  servers: addresses.map((address) => ({ address, weight: 1, backup: false })),
  balance: 'round-robin',
  hashOn: { kind: 'client' },
  stickyCookie: '',
  slowStartMs: 0,
  panicShare: 0,
  resolveAll: false,
  host: 'preserve',
})
export const listener: ListenerOptions = {
  address: '127.0.0.1:0',
  profile: 'raw',
  trustedProxies: [],
  rateLimits: [],
  connectionsPerClient: 0,
  requestBodyBytes: 0,
}
export const serviceOf = (groups: Record<string, GroupOptions>, ...routes: readonly RouteOptions[]): ServiceOptions => ({
  listeners: [listener],
  groups,
  routes,
  rateLimits: {},
})
