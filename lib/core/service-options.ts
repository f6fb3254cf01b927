/**
 * What is configured beyond the engine itself: listeners, routes, groups of upstream servers, limits of rates, the admin listener. Complete
 * and checked, plain data that survives a message to a worker: lib/config makes it from a file, and a user of the library may write it.
 * Durations are milliseconds, sizes bytes, addresses as on the command line. Optional members are off when they are not there.
 */
import type { DesyncLimits, ForwardedMode, Limits, PoolLimits, Timeouts } from './options.ts'

/** `raw` alters nothing but hop-by-hop fields and framing; `edge` is for a proxy that is open to the internet. */
export type Profile = 'raw' | 'edge'

export interface ServiceOptions {
  readonly listeners: readonly ListenerOptions[]
  /** By name. */
  readonly groups: Readonly<Record<string, GroupOptions>>
  readonly routes: readonly RouteOptions[]
  /** By name; routes and listeners refer to them. */
  readonly rateLimits: Readonly<Record<string, RateLimitOptions>>
  readonly rateLimitStore?: RateLimitStoreOptions
}

export interface ListenerOptions {
  readonly address: string
  readonly profile: Profile
  readonly timeouts?: Partial<Timeouts>
  readonly limits?: Partial<Limits>
  readonly forwarded?: ForwardedMode
  /** Networks in CIDR notation, or `unix` for peers on a unix socket, whose X-Forwarded-* and Forwarded fields are believed. */
  readonly trustedProxies: readonly string[]
  readonly requestId?: RequestIdOptions
  /** W3C traceparent: passed when it is valid, made otherwise. Not there, or false: left as it comes. */
  readonly traceparent?: boolean
  /** What becomes of Server in responses: 'pass' (also when it is not there), 'remove', or another text that takes its place. */
  readonly serverField?: string
  /** Response fields that protect browsers, on all routes that do not say otherwise. */
  readonly securityFields?: SecurityFieldOptions
  /** By status (`404`) or class (`5xx`): what is shown when the proxy itself answers with an error. What a route says goes before this. */
  readonly errorPages?: ErrorPages
  /** By rule id, for the rules where a looser action is safe. What a route says of a rule goes before this. */
  readonly rules?: RuleActions
  /** Names of routes; none: all. */
  readonly routes?: readonly string[]
  readonly rateLimits: readonly string[]
  /** Connections of one client address (IPv6: of a /64) at a time, 0 = no limit. */
  readonly connectionsPerClient: number
  /** What a connection beyond a limit of connections gets: 'answer' (503, or 429 when it is the limit for its client; also when not given), or nothing. */
  readonly overload?: 'answer' | 'close'
  /** Bytes of a request body, 0 = no limit; 413. */
  readonly requestBodyBytes: number
}

/** An id for each request: sent to the upstream and back to the client, and the `id` in the log. */
export interface RequestIdOptions {
  /** Of the field. */
  readonly name: string
  /** Whose id is taken over when it is a sane one. Otherwise one is made. */
  readonly accept: 'trusted' | 'always' | 'never'
}

/** Fields that a response gets when the origin has not set them. '' or false: not this one. */
export interface SecurityFieldOptions {
  /** X-Content-Type-Options: nosniff. */
  readonly contentTypeOptions: boolean
  readonly referrerPolicy: string
  /** X-Frame-Options. */
  readonly frameOptions: '' | 'DENY' | 'SAMEORIGIN'
  /** Sources for `frame-ancestors` in a Content-Security-Policy, such as `'none'` or `'self' https://partner.example`. */
  readonly frameAncestors: string
  /** Strict-Transport-Security; only when the request came over TLS. */
  readonly strictTransportSecurity: string
}

/** By status (`404`) or class of statuses (`4xx`, `5xx`). */
export type ErrorPages = Readonly<Record<string, ErrorPageOptions>>

/** A text in which {status}, {reason} and {request_id} are filled in, escaped as HTML, XML and JSON ask for. */
export interface PageContentOptions {
  readonly contentType: string
  readonly body: string
}

export interface ErrorPageOptions extends PageContentOptions {
  /** For clients whose Accept puts JSON first. Not there: a problem in JSON (RFC 9457), as without a page. */
  readonly json?: PageContentOptions
}

/** What happens when a message breaks a rule: it is refused, or goes on and is counted and logged. */
export type RuleActions = Readonly<Record<string, 'reject' | 'warn'>>

/** How a value is compared: exactly one member. */
export type ValueMatch =
  | { readonly exact: string }
  | { readonly prefix: string }
  | { readonly pattern: string }
  | { readonly present: boolean }

export interface RouteMatch {
  /** `example.com` or `*.example.com`. None: any host. */
  readonly hosts: readonly string[]
  /** Exactly one kind; a pattern is a regular expression for the whole path. None: any path. */
  readonly path?: { readonly exact: string } | { readonly prefix: string } | { readonly pattern: string }
  readonly methods: readonly string[]
  /** By field name in lower case. */
  readonly headers: Readonly<Record<string, ValueMatch>>
}

export interface RouteOptions {
  readonly name: string
  readonly match: RouteMatch
  readonly action: RouteAction
  readonly rewrite?: { readonly prefix: string }
  readonly requestHeaders: FieldEdits
  readonly responseHeaders: FieldEdits
  /** Response fields that protect browsers: none, or these instead of what the listener says. Not there: what the listener says. */
  readonly securityFields?: false | SecurityFieldOptions
  /** Each goes before the listener's of the same status, and before those of its class. */
  readonly errorPages?: ErrorPages
  /** Only the timers of one exchange and its upstream: not those of the client's connection. */
  readonly timeouts?: Partial<Timeouts>
  readonly requestBodyBytes?: number
  readonly retry?: RetryOptions
  readonly rateLimits: readonly string[]
  /** CIDR networks. Denied wins; with an allow list, who is not in it is denied. 403. */
  readonly allow: readonly string[]
  readonly deny: readonly string[]
  readonly mirror?: { readonly group: string; /** From 0 to 1. */ readonly share: number }
  /** By rule id, for the rules where a looser action is safe. */
  readonly rules: RuleActions
}

export type RouteAction =
  | { readonly kind: 'proxy'; readonly group: string }
  | {
      readonly kind: 'redirect'
      readonly status: 301 | 302 | 303 | 307 | 308
      /** May contain {host}, {path} and {query}. */ readonly location: string
    }
  | { readonly kind: 'answer'; readonly status: number; readonly contentType: string; readonly body: string }

/**
 * Applied in this order: remove, set (replaces what is there), add. A value may hold {client_ip}, {client_port}, {host}, {request_id},
 * {route}, {upstream} (the name of the group) and {scheme}.
 */
export interface FieldEdits {
  readonly remove: readonly string[]
  readonly set: Readonly<Record<string, string>>
  readonly add: Readonly<Record<string, string>>
}

export interface RetryOptions {
  /** Servers tried after the first. */
  readonly attempts: number
  /** 'connect': nothing was sent; 'closed': a connection that ended without a response; or a status, for idempotent methods. */
  readonly on: readonly ('connect' | 'closed' | 'timeout' | number)[]
  /** Retries may be at most this share of the exchanges of the group, beyond `budgetMin` at a time. */
  readonly budget: number
  readonly budgetMin: number
}

export type Balance = 'round-robin' | 'least-connections' | 'power-of-two' | 'hash' | 'sticky'

export interface ServerOptions {
  /** `host:port`, `unix:path`, or `srv:_service._proto.name`. */
  readonly address: string
  readonly weight: number
  /** Used when no other server of the group can be. */
  readonly backup: boolean
}

/** Of RFC 6265 section 5.2. */
export interface CookieAttributes {
  readonly path: string
  /** '' for the host alone that set it. */
  readonly domain: string
  /** 0: until the browser is closed. */
  readonly maxAgeMs: number
  readonly secure: boolean
  readonly httpOnly: boolean
  readonly sameSite: 'Strict' | 'Lax' | 'None'
}

export interface GroupOptions {
  readonly servers: readonly ServerOptions[]
  readonly balance: Balance
  /** For 'hash'. */
  readonly hashOn: { readonly kind: 'client' } | { readonly kind: 'header' | 'cookie'; readonly name: string }
  /** For 'sticky': name of the cookie that we set. */
  readonly stickyCookie: string
  /** Of that cookie. Not there: Path=/; HttpOnly; SameSite=Lax, for as long as the browser runs. */
  readonly stickyAttributes?: CookieAttributes
  /** How long a server that is new or back gets less than its share, 0 = not at all. */
  readonly slowStartMs: number
  /** With fewer than this share of servers usable, health is not looked at. From 0 (never) to 1. */
  readonly panicShare: number
  /** Each address of a name is a server of its own. */
  readonly resolveAll: boolean
  readonly health?: HealthOptions
  readonly outlier?: OutlierOptions
  readonly breaker?: BreakerOptions
  /** 'preserve' sends the client's Host; another text is the Host that is sent. */
  readonly host: string
  readonly pool?: Partial<PoolLimits>
  readonly timeouts?: Partial<Timeouts>
  readonly desync?: Partial<DesyncLimits>
}

export interface HealthOptions {
  readonly kind: 'http' | 'tcp'
  readonly path: string
  readonly host: string
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly rise: number
  readonly fall: number
  /** Inclusive ranges, such as [200, 399]. */
  readonly statuses: readonly (readonly [number, number])[]
  /** Has to be part of the body; '' = not looked at. */
  readonly body: string
}

export interface OutlierOptions {
  /** Failures in a row. */
  readonly consecutive: number
  /** Share of failures among at least `requests` in `windowMs`. */
  readonly failureShare: number
  readonly requests: number
  readonly windowMs: number
  /** First time out; doubled each time up to `ejectMaxMs`. */
  readonly ejectMs: number
  readonly ejectMaxMs: number
  /** Share of the servers that may be out at a time. */
  readonly ejectShareMax: number
}

/** The group answers 503 at once instead of adding to what is too much. */
export interface BreakerOptions {
  readonly exchanges: number
  readonly waiting: number
  readonly retries: number
}

export type RateLimitKey = { readonly kind: 'client' | 'route' | 'all' } | { readonly kind: 'header'; readonly name: string }

export interface RateLimitOptions {
  /** So many in `perMs`, and `burst` at once. */
  readonly requests: number
  readonly perMs: number
  readonly burst: number
  readonly key: RateLimitKey
  /** IPv6 addresses count by this prefix. */
  readonly ipv6Prefix: number
  /** Across machines, by the store. */
  readonly shared: boolean
  /** RateLimit fields also in responses to requests that are let through. */
  readonly announce?: boolean
}

export interface RateLimitStoreOptions {
  /** redis://[user:password@]host:port[/db], rediss:// for TLS. */
  readonly url: string
  /** A store that takes longer for an answer is not waited for. */
  readonly deadlineMs: number
  /** When the store is slow or gone: count here, let all through, or refuse all. */
  readonly onError: 'local' | 'open' | 'closed'
  readonly prefix: string
  /** PEM, of rediss://: the authorities that may sign its certificate (those of Node by default), and the certificate that it asks for. */
  readonly ca?: string
  readonly certificate?: string
  readonly key?: string
}

export interface AdminOptions {
  readonly address: string
  /** For whatever changes state, and on a public address for all but the checks of health; '' = nothing can be changed. */
  readonly token: string
  /** An address that is not loopback has to be meant, and needs a token. */
  readonly public: boolean
}

export interface AccessLogSettings {
  /** A path, '-' for standard output, or `unix:path` of a socket that takes lines. */
  readonly destination: string
  readonly format: 'json' | 'combined' | 'template'
  /** For 'template': `{time} {client} "{method} {target}" {status}`. */
  readonly template: string
  /** How a template's texts are written: 'plain' (default) for between blanks and quotes, 'json' for the inside of JSON strings. */
  readonly escape?: 'plain' | 'json'
  /** From 0 to 1; what ended other than well is always logged. */
  readonly sample: number
  /** Names of query parameters whose values are not logged; '*' for all. */
  readonly redactQuery: readonly string[]
}
