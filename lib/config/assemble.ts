/**
 * From the shape of the file to the options that the proxy is made of. Every member of these is named here, by the compiler's order: one
 * that is added there and not here does not compile.
 */
import type {
  AccessLogSettings,
  AdminOptions,
  ErrorPageOptions,
  ErrorPages,
  FieldEdits,
  GroupOptions,
  HealthOptions,
  ListenerOptions,
  OutlierOptions,
  PageContentOptions,
  RateLimitOptions,
  RateLimitStoreOptions,
  RetryOptions,
  RouteAction,
  RouteMatch,
  RouteOptions,
  ServiceOptions,
} from '../core/service-options.ts'
import type { CompleteContent, CompleteGroup, CompleteHealth, CompleteListener, CompleteRateLimit, CompleteRoute } from './complete.ts'
import type { Configuration } from './configuration.ts'
import type { FileErrorPages, FilePage, FileRetry, Secret } from './schema.ts'

/** Reads a secret, wherever it is. */
export type ReadSecret = (secret: Secret, steps: readonly PropertyKey[]) => string

/** Reads a page, wherever it is. */
export type ReadPage = (page: FilePage, steps: readonly PropertyKey[], isJson: boolean) => PageContentOptions

type OptionalKeys<T> = { [K in keyof T]-?: Partial<Pick<T, K>> extends Pick<T, K> ? K : never }[keyof T]
/** All members of T; those that may be missing are undefined then. */
type Every<T> = { [K in Exclude<keyof T, OptionalKeys<T>>]: T[K] } & { [K in OptionalKeys<T>]-?: T[K] | undefined }

function present<T extends object>(members: Every<T>): T {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as T
}

export function assemble(file: CompleteContent, readSecret: ReadSecret, readPage: ReadPage): Configuration {
  const { accessLog, admin, rateLimitStore: store } = file
  return {
    service: present<ServiceOptions>({
      listeners: file.listeners.map((row, index) =>
        assembleListener(row, assembleErrorPages(row.errorPages, ['listeners', index], readPage)),
      ),
      groups: mapValues(file.upstreams, assembleGroup),
      routes: file.routes.map((row, index) => assembleRoute(row, assembleErrorPages(row.errorPages, ['routes', index], readPage))),
      rateLimits: mapValues(file.rateLimits, assembleRateLimit),
      rateLimitStore:
        store &&
        present<RateLimitStoreOptions>({
          url: readSecret(store.url, ['rateLimitStore', 'url']),
          deadlineMs: store.deadline,
          onError: store.onError,
          prefix: store.prefix,
          ca: store.ca && readSecret(store.ca, ['rateLimitStore', 'ca']),
          certificate: store.certificate && readSecret(store.certificate, ['rateLimitStore', 'certificate']),
          key: store.key && readSecret(store.key, ['rateLimitStore', 'key']),
        }),
    }),
    engine: {
      timeouts: file.timeouts,
      limits: file.limits,
      pool: file.pool,
      desync: file.desync,
      reuseAfterBody: file.reuseAfterBody,
      ...(file.via !== undefined && { via: file.via }),
      forwarded: file.forwarded,
      halfClosedClients: file.halfClosedClients,
      socketAccess: file.socketAccess,
      nameServers: file.nameServers,
    },
    workers: file.workers,
    supervision: file.supervision,
    logLevel: file.log.level,
    logFormat: file.log.format,
    accessLog:
      accessLog &&
      present<AccessLogSettings>({
        destination: accessLog.destination,
        format: accessLog.format,
        template: accessLog.template,
        escape: accessLog.escape,
        sample: accessLog.sample,
        redactQuery: accessLog.redactQuery,
      }),
    admin:
      admin && present<AdminOptions>({ address: admin.address, token: readSecret(admin.token, ['admin', 'token']), public: admin.public }),
    warnings: findUnused(file),
  }
}

function assembleListener(row: CompleteListener, errorPages: ErrorPages | undefined): ListenerOptions {
  return present<ListenerOptions>({
    address: row.address,
    profile: row.profile,
    timeouts: row.timeouts,
    limits: row.limits,
    forwarded: row.forwarded,
    trustedProxies: row.trustedProxies,
    requestId: row.requestId === false ? undefined : row.requestId,
    traceparent: row.traceparent ? true : undefined,
    serverField: row.serverField === 'pass' ? undefined : row.serverField,
    securityFields: row.securityFields === false ? undefined : row.securityFields,
    errorPages,
    rules: Object.keys(row.rules).length === 0 ? undefined : row.rules,
    routes: row.routes,
    rateLimits: row.rateLimits,
    connectionsPerClient: row.connectionsPerClient,
    overload: row.overload === 'answer' ? undefined : row.overload,
    requestBodyBytes: row.requestBodyBytes,
  })
}

/** Undefined for none. */
function assembleErrorPages(pages: FileErrorPages, steps: readonly PropertyKey[], readPage: ReadPage): ErrorPages | undefined {
  const rows = Object.entries(pages).map(([key, { json, ...page }]): [string, ErrorPageOptions] => {
    const at = [...steps, 'errorPages', key]
    return [key, { ...readPage(page, at, false), ...(json !== undefined && { json: readPage(json, [...at, 'json'], true) }) }]
  })
  return rows.length === 0 ? undefined : Object.fromEntries(rows)
}

function assembleGroup(row: CompleteGroup): GroupOptions {
  const { outlier, stickyCookie } = row
  return present<GroupOptions>({
    servers: row.servers,
    balance: row.balance,
    hashOn: row.hashOn,
    stickyCookie: stickyCookie.name,
    stickyAttributes: {
      path: stickyCookie.path,
      domain: stickyCookie.domain,
      maxAgeMs: stickyCookie.maxAge,
      secure: stickyCookie.secure,
      httpOnly: stickyCookie.httpOnly,
      sameSite: stickyCookie.sameSite,
    },
    slowStartMs: row.slowStart,
    panicShare: row.panicShare,
    resolveAll: row.resolveAll,
    health: row.health && assembleHealth(row.health),
    outlier:
      outlier &&
      present<OutlierOptions>({
        consecutive: outlier.consecutive,
        failureShare: outlier.failureShare,
        requests: outlier.requests,
        windowMs: outlier.window,
        ejectMs: outlier.eject,
        ejectMaxMs: outlier.ejectMax,
        ejectShareMax: outlier.ejectShareMax,
      }),
    breaker: row.breaker,
    host: row.host,
    pool: row.pool,
    timeouts: row.timeouts,
    desync: row.desync,
  })
}

function assembleHealth(row: CompleteHealth): HealthOptions {
  return present<HealthOptions>({
    kind: row.kind,
    path: row.path,
    host: row.host,
    intervalMs: row.interval,
    timeoutMs: row.timeout,
    rise: row.rise,
    fall: row.fall,
    statuses: row.statuses,
    body: row.body,
  })
}

function assembleRoute(row: CompleteRoute, errorPages: ErrorPages | undefined): RouteOptions {
  const { match, mirror } = row
  return present<RouteOptions>({
    name: row.name,
    match: present<RouteMatch>({
      hosts: match.hosts ?? match.host ?? [],
      path: match.path,
      methods: match.methods ?? match.method ?? [],
      headers: Object.fromEntries(Object.entries(match.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])),
    }),
    action: assembleAction(row),
    rewrite: row.rewrite,
    requestHeaders: row.requestHeaders satisfies FieldEdits,
    responseHeaders: row.responseHeaders satisfies FieldEdits,
    securityFields: row.securityFields,
    errorPages,
    timeouts: row.timeouts,
    requestBodyBytes: row.requestBodyBytes,
    retry: row.retry && assembleRetry(row.retry),
    rateLimits: row.rateLimits,
    allow: row.allow,
    deny: row.deny,
    mirror: mirror && { group: mirror.upstream, share: mirror.share },
    rules: row.rules,
  })
}

function assembleRetry({ on, ...row }: FileRetry): RetryOptions {
  return {
    ...row,
    on: on.flatMap((reason): RetryOptions['on'] => {
      if (typeof reason === 'string') return [reason]
      const [from, to] = reason
      return Array.from({ length: to - from + 1 }, (_none, index) => from + index)
    }),
  }
}

function assembleAction({ upstream, redirect, answer }: CompleteRoute): RouteAction {
  if (redirect !== undefined) return { kind: 'redirect', status: redirect.status, location: redirect.location }
  if (answer !== undefined) return { kind: 'answer', status: answer.status, contentType: answer.contentType, body: answer.body }
  return { kind: 'proxy', group: upstream ?? '' }
}

function assembleRateLimit(row: CompleteRateLimit): RateLimitOptions {
  return present<RateLimitOptions>({
    requests: row.requests,
    perMs: row.per,
    burst: row.burst,
    key: row.key,
    ipv6Prefix: row.ipv6Prefix,
    shared: row.shared,
    announce: row.announce ? true : undefined,
  })
}

function mapValues<T, U>(values: Readonly<Record<string, T>>, make: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, make(value)]))
}

/** What is defined and used by nothing: often a name that was changed in one place. */
function findUnused({ upstreams, rateLimits, routes, listeners }: CompleteContent): string[] {
  const groups = new Set(routes.flatMap(({ upstream, mirror }) => [upstream, mirror?.upstream]))
  const limits = new Set([...routes, ...listeners].flatMap((row) => row.rateLimits))
  return [
    ...Object.keys(upstreams)
      .filter((name) => !groups.has(name))
      .map((name) => `upstreams.${name} is used by no route`),
    ...Object.keys(rateLimits)
      .filter((name) => !limits.has(name))
      .map((name) => `rateLimits.${name} is used by no route and no listener`),
  ]
}
