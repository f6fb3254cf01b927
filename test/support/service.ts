/** A configuration of one listener on a free port of 127.0.0.1, one route and one group, for tests of what a listener, a route or a group says. */
import type { GroupOptions, ListenerOptions, RouteOptions, ServiceOptions } from '../../lib/core/service-options.ts'

export interface ServiceParts {
  readonly listener?: Partial<ListenerOptions>
  readonly route?: Partial<RouteOptions>
  readonly group?: Partial<GroupOptions>
}

export function serviceFor(upstream: string, { listener, route, group }: ServiceParts = {}): ServiceOptions {
  const noEdits = { remove: [], set: {}, add: {} }
  return {
    listeners: [
      {
        address: '127.0.0.1:0',
        profile: 'raw',
        trustedProxies: [],
        rateLimits: [],
        connectionsPerClient: 0,
        requestBodyBytes: 0,
        ...listener,
      },
    ],
    groups: {
      app: {
        servers: [{ address: upstream, weight: 1, backup: false }],
        balance: 'round-robin',
        hashOn: { kind: 'client' },
        stickyCookie: '',
        slowStartMs: 0,
        panicShare: 0,
        resolveAll: false,
        host: 'preserve',
        ...group,
      },
    },
    routes: [
      {
        name: 'all',
        match: { hosts: [], methods: [], headers: {} },
        action: { kind: 'proxy', group: 'app' },
        requestHeaders: noEdits,
        responseHeaders: noEdits,
        rateLimits: [],
        allow: [],
        deny: [],
        rules: {},
        ...route,
      },
    ],
    rateLimits: {},
  }
}
