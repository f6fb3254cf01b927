/**
 * The configuration file as one definition: reading it, its types, its JSON Schema and its table in the documentation are all made from
 * this. A short form stands beside the full one where people would want it, and both come out as the full one. Defaults that depend on
 * nothing stand here; those that depend on the profile, or on flags, are given in complete.ts.
 */
import { isIP, isIPv6 } from 'node:net'
import { z } from 'zod'
import { ruleTable, type RuleId } from '../../native-free-parser/index.ts'
import {
  desyncLimitTable,
  forwardedModes,
  halfClosedModes,
  limitTable,
  parseUpstreamAddress,
  poolTable,
  reuseModes,
  socketAccesses,
  supervisionTable,
  timeoutTable,
  viaPattern,
  workersMax,
} from '../core/options.ts'
import { templateEscapes } from '../observe/line-template.ts'
import { logFormats, logLevels } from '../observe/logger.ts'
import { findPageKeyFault } from '../policy/error-pages.ts'
import { findActionFault } from '../policy/rule-actions.ts'
import { edgeSecurityFields } from '../policy/security-fields.ts'
import { NetworkSet } from '../route/networks.ts'
import { plainCookie } from '../upstream/sticky-cookie.ts'
import {
  checkedText,
  fieldValue,
  isToken,
  listenAddress,
  matchingText,
  network,
  numbers,
  quantity,
  regularExpression,
  serverAddress,
  share,
  show,
  statusRange,
  token,
} from './leaves.ts'

const day = 86_400_000
const countMax = 1_000_000

/** Names that the file itself gives to groups, routes and limits: they stand in logs, labels and addresses of the admin listener. */
function name(doc: string) {
  return matchingText(
    doc,
    /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/,
    (text) => `${show(text)} is not a name; write up to 64 letters, digits, "_", "-" and ".", and begin with none of the last two`,
  )
}

/** A shorter way to write `full`, for reading only: what is printed is written out. */
function short<From extends z.ZodType, Full extends z.ZodType>(from: From, full: Full, write: (given: z.output<From>) => z.input<Full>) {
  // Generic schemas are too much for the compiler; what `write` has to return is checked by its own type.
  const codec = z.codec<z.ZodType, z.ZodType>(from, full, {
    decode: (given) => write(given as z.output<From>),
    encode: (value, context) => {
      context.issues.push({ code: 'custom', message: 'is written out', input: value })
      return z.NEVER
    },
  })
  return codec as unknown as z.ZodType<z.output<Full>, z.input<From>>
}

/** One or several; several come out. */
function oneOrMore<T extends z.ZodType<string, string>>(item: T, doc: string) {
  const several: z.ZodType<string[], string[]> = z.array(item)
  return z.union([several, short(item, several, (one) => [one])], { error: 'expected one value or a list of them' }).describe(doc)
}

/** Timers of one exchange, there and back; those of its connections beyond that are the listener's and the group's. */
const exchangeTimeouts = [
  'request',
  'queue',
  'responseHead',
  'responseBodyIdle',
  'upstreamWriteIdle',
  'tunnelIdle',
  'halfClose',
] as const satisfies (keyof typeof timeoutTable)[]

const groupTimeouts = [
  'queue',
  'connect',
  'responseHead',
  'responseBodyIdle',
  'upstreamWriteIdle',
  'upstreamKeepAlive',
  'upstreamMaxAge',
  'serverDown',
] as const satisfies (keyof typeof timeoutTable)[]

const listenerTimeouts = [
  'firstByte',
  'requestHead',
  'keepAlive',
  'requestBodyIdle',
  'clientWriteIdle',
  'request',
  'linger',
  'minRateGrace',
] as const satisfies (keyof typeof timeoutTable)[]

const listenerLimits = [
  'requestLineBytes',
  'requestHeadBytes',
  'requestFields',
  'chunkSizeDigits',
  'chunkExtensionBytes',
  'messageExtensionBytes',
  'trailerFields',
  'trailerBytes',
  'lingerBytes',
  'replayBytes',
  'minRate',
  'turnMessages',
] as const satisfies (keyof typeof limitTable)[]

const profile = z
  .enum(['raw', 'edge'])
  .describe('raw alters nothing but hop-by-hop fields and framing; edge is for a proxy that is open to the internet')
const forwarded = z.enum(forwardedModes).describe('fields that tell the upstream about the client; raw: off, edge: both')
const trustedProxies = z
  .array(checkedText('an address or a network in CIDR notation, or unix', (text) => text === 'unix' || new NetworkSet([text])))
  .describe('networks of proxies before this one, whose X-Forwarded-* and Forwarded fields are believed; unix: peers on a unix socket')
const requestBodyBytes = quantity('bytes', { min: 0, max: Number.MAX_SAFE_INTEGER }, 'largest request body, 0 = no limit; 413')
const rateLimitNames = oneOrMore(name('a name under rateLimits'), 'names of rate limits that count here')

const secret = z
  .union(
    [
      z.string(),
      z.strictObject({ env: z.string().min(1).describe('name of an environment variable that holds it') }),
      z.strictObject({ file: z.string().min(1).describe('path of a file that holds it, from the folder of this one') }),
    ],
    { error: 'expected a text, { env: NAME } or { file: PATH }' },
  )
  .describe('a secret: a text, { env: NAME } or { file: PATH }')

const rules = z
  .partialRecord(
    z.enum(Object.keys(ruleTable) as [RuleId, ...RuleId[]]).describe('the id of a rule'),
    z.enum(['reject', 'warn']).describe('refuse the message, or log it and go on'),
  )
  .superRefine((actions, context) => {
    for (const [rule, action] of Object.entries(actions)) {
      const fault = findActionFault(rule, action)
      if (fault !== '') context.addIssue({ code: 'custom', path: [rule], message: fault, input: action })
    }
  })
  .describe('what happens when a rule is broken, for the rules where a looser action is safe')

const requestIdFields = z.strictObject({
  name: token('the field', 'a field name').prefault('X-Request-Id'),
  accept: z.enum(['trusted', 'always', 'never']).describe('whose id is taken over; otherwise one is made').prefault('trusted'),
})
const requestId = z
  .union(
    [
      requestIdFields,
      z.literal(false),
      short(z.literal(true), requestIdFields, () => ({})),
      short(z.string(), requestIdFields, (field) => ({ name: field })),
    ],
    { error: 'expected true, false, the name of a field, or a section' },
  )
  .describe('an id for each request: true, false, the name of a field, or a section; raw: false, edge: true')

const securityFieldsSection = z.strictObject({
  contentTypeOptions: z.boolean().describe('X-Content-Type-Options: nosniff').prefault(edgeSecurityFields.contentTypeOptions),
  referrerPolicy: fieldValue("Referrer-Policy; '' = none").prefault(edgeSecurityFields.referrerPolicy),
  frameOptions: z.enum(['', 'DENY', 'SAMEORIGIN']).describe("X-Frame-Options; '' = none").prefault(edgeSecurityFields.frameOptions),
  frameAncestors: fieldValue("sources for frame-ancestors in a Content-Security-Policy; '' = none").prefault(
    edgeSecurityFields.frameAncestors,
  ),
  strictTransportSecurity: fieldValue("Strict-Transport-Security, when the request came over TLS; '' = none").prefault(
    edgeSecurityFields.strictTransportSecurity,
  ),
})
const securityFields = z.union([securityFieldsSection, z.literal(false), short(z.literal(true), securityFieldsSection, () => ({}))], {
  error: 'expected true, false, or a section',
})

const pageContent = {
  file: z.string().min(1, { error: 'expected a path' }).describe('path of a file in UTF-8, from the folder of this one').exactOptional(),
  text: z.string().describe('the page itself, instead of a file').exactOptional(),
  contentType: fieldValue('Content-Type of the page; by the name of the file by default').exactOptional(),
}
const jsonPage = z.strictObject(pageContent)
const errorPage = z.strictObject({
  ...pageContent,
  json: z
    .union([jsonPage, short(z.string(), jsonPage, (file) => ({ file }))], { error: 'expected a path, or a section with file or text' })
    .describe('for clients whose Accept puts JSON first: a path, or a section; a problem (RFC 9457) by default')
    .exactOptional(),
})
const errorPages = z
  .record(
    checkedText(
      'a status, 4xx or 5xx',
      (text) => {
        const fault = findPageKeyFault(text)
        if (fault !== '') throw new Error(fault)
      },
      /^[45](?:[0-9]{2}|xx)$/,
    ),
    z.union([errorPage, short(z.string(), errorPage, (file) => ({ file }))], { error: 'expected a path, or a section with file or text' }),
  )
  .describe('pages for errors of the proxy itself, not those of servers, by status or class (404, 5xx): paths, or sections')

const listener = z.strictObject({
  address: listenAddress('host:port, [v6]:port, :port or unix:path'),
  profile: profile.exactOptional(),
  timeouts: numbers(timeoutTable, 'timers of this listener, instead of those for all', listenerTimeouts).exactOptional(),
  limits: numbers(limitTable, 'limits of this listener, instead of those for all', listenerLimits).exactOptional(),
  forwarded: forwarded.exactOptional(),
  trustedProxies: trustedProxies.exactOptional(),
  requestId: requestId.exactOptional(),
  traceparent: z.boolean().describe('W3C traceparent is passed when it is valid, and made otherwise; false by default').exactOptional(),
  serverField: fieldValue('what becomes of Server in responses: pass, remove, or another text; raw: pass, edge: remove').exactOptional(),
  securityFields: securityFields
    .describe('response fields that protect browsers: true, false, or a section; raw: false, edge: true')
    .exactOptional(),
  errorPages: errorPages.prefault({}),
  rules: rules.prefault({}),
  routes: oneOrMore(name('the name of a route'), 'names of the routes that hold here; none: all').exactOptional(),
  rateLimits: rateLimitNames.exactOptional(),
  connectionsPerClient: quantity(
    'count',
    { min: 0, max: countMax },
    'connections of one client address at a time, 0 = no limit; raw: 0, edge: 100',
  ).exactOptional(),
  overload: z
    .enum(['answer', 'close'])
    .describe('what a connection beyond a limit of connections gets: answer (503, or 429 when it is the limit for its client), or close')
    .prefault('answer'),
  requestBodyBytes: requestBodyBytes.describe('largest request body, 0 = no limit; 413; raw: 0, edge: 100m').exactOptional(),
})

const server = z.strictObject({
  address: serverAddress('[http://]host:port, unix:path or srv:_service._proto.name'),
  weight: quantity(
    'count',
    { min: 0, max: 1_000 },
    'share of the requests, beside the weights of the others; 0: none but those of clients that stick to it',
  ).prefault(1),
  backup: z.boolean().describe('used when no other server of the group can be').prefault(false),
})

const servers = z
  .array(z.union([server, short(z.string(), server, (address) => ({ address }))], { error: 'expected an address, or a section with one' }))
  .min(1, { error: 'expected one server at least' })
  .describe('servers of the group: addresses, or sections with address, weight and backup')

const statusForms = 'a status, a class or a range, such as 200, 2xx or 200-399'
const goodStatus = statusRange(1, statusForms)
const statusList = z.array(goodStatus).min(1, { error: 'expected one status at least' })
const statuses = z.union([statusList, short(goodStatus, statusList, (one) => [z.encode(goodStatus, one)])], {
  error: `expected ${statusForms}, or a list of them`,
})

const healthFields = z.strictObject({
  kind: z.enum(['http', 'tcp']).describe('http asks for a response, tcp for a connection').prefault('http'),
  path: matchingText(
    'path of the request',
    /^\/[\x21-\x7e]*$/,
    (text) => `${show(text)} is not a path; it begins with / and has no space`,
  ).prefault('/'),
  host: fieldValue("Host of the request; '' = the address of the server").prefault(''),
  interval: quantity('ms', { min: 100, max: day }, 'from one check to the next, varied by 10 %').prefault('5s'),
  timeout: quantity(
    'ms',
    { min: 10, max: day },
    'for a check as a whole; 2s by default, or interval where that is shorter',
  ).exactOptional(),
  rise: quantity('count', { min: 1, max: 1_000 }, 'good checks in a row that bring a server back').prefault(2),
  fall: quantity('count', { min: 1, max: 1_000 }, 'failed checks in a row that take a server out').prefault(3),
  statuses: statuses.describe('statuses that are good: numbers, classes (2xx) and ranges (200-399)').prefault(['200-399']),
  body: z.string().max(4_096).describe("text that has to be part of the body; '' = not looked at").prefault(''),
})

const health = z
  .union([healthFields, short(z.string(), healthFields, (path) => ({ path })), short(z.literal(true), healthFields, () => ({}))], {
    error: 'expected a path, true, or a section',
  })
  .describe('active checks: a path, true, or a section')

const outlierFields = z.strictObject({
  consecutive: quantity('count', { min: 1, max: countMax }, 'failures in a row that take a server out').prefault(5),
  failureShare: share('share of failures in the window that takes a server out').prefault(0.5),
  requests: quantity('count', { min: 1, max: countMax }, 'requests in the window from which on the share counts').prefault(20),
  window: quantity('ms', { min: 100, max: day }, 'the window').prefault('10s'),
  eject: quantity('ms', { min: 100, max: day }, 'first time out; doubled each time').prefault('10s'),
  ejectMax: quantity('ms', { min: 100, max: day }, 'longest time out').prefault('5m'),
  ejectShareMax: share('share of the servers that may be out at a time').prefault(0.5),
})

const outlier = z
  .union([outlierFields, short(z.literal(true), outlierFields, () => ({}))], { error: 'expected true or a section' })
  .describe('servers that fail requests are left out for a time: true, or a section')

const breakerFields = z.strictObject({
  exchanges: quantity('count', { min: 1, max: countMax }, 'exchanges of the group at a time').prefault(1_024),
  waiting: quantity('count', { min: 0, max: countMax }, 'of these, waiting for a connection').prefault(1_024),
  retries: quantity('count', { min: 0, max: countMax }, 'retries of the group at a time').prefault(32),
})

const breaker = z
  .union([breakerFields, short(z.literal(true), breakerFields, () => ({}))], { error: 'expected true or a section' })
  .describe('beyond these the group answers 503 at once: true, or a section')

const hashOn = z
  .union(
    [
      z.codec(z.literal('client'), z.strictObject({ kind: z.literal('client') }), {
        decode: () => ({ kind: 'client' as const }),
        encode: () => 'client' as const,
      }),
      z.codec(
        z.strictObject({ header: token('name of a request field', 'a field name') }),
        z.strictObject({ kind: z.literal('header'), name: z.string() }),
        {
          decode: ({ header }) => ({ kind: 'header' as const, name: header.toLowerCase() }),
          encode: ({ name: header }) => ({ header }),
        },
      ),
      z.codec(
        z.strictObject({ cookie: token('name of a cookie', 'the name of a cookie') }),
        z.strictObject({ kind: z.literal('cookie'), name: z.string() }),
        {
          decode: ({ cookie }) => ({ kind: 'cookie' as const, name: cookie }),
          encode: ({ name: cookie }) => ({ cookie }),
        },
      ),
    ],
    { error: 'expected client, { header: NAME } or { cookie: NAME }' },
  )
  .describe('what balance: hash looks at: client, { header: NAME } or { cookie: NAME }')

const stickyCookieFields = z.strictObject({
  name: token('the name', 'the name of a cookie').prefault('eproxy-server'),
  path: matchingText(
    'below which browsers send it',
    /^\/[\x21-\x3a\x3c-\x7e]*$/,
    (text) => `${show(text)} is not a path; it begins with / and has no space or ;`,
  ).prefault(plainCookie.path),
  domain: matchingText(
    "host below which browsers send it; '' = only to the one that set it",
    /^[A-Za-z0-9.-]*$/,
    (text) => `${show(text)} is not a domain`,
  ).prefault(plainCookie.domain),
  maxAge: quantity('ms', { min: 0, max: 400 * day }, 'how long browsers keep it, 0 = until they are closed').prefault('0'),
  secure: z.boolean().describe('only over TLS').prefault(plainCookie.secure),
  httpOnly: z.boolean().describe('not for scripts').prefault(plainCookie.httpOnly),
  sameSite: z.enum(['Strict', 'Lax', 'None']).describe('whether other sites make browsers send it').prefault(plainCookie.sameSite),
})
/** Of `stickyCookie`. */
export const defaultStickyCookie = stickyCookieFields.parse({})

const stickyCookie = z
  .union([stickyCookieFields, short(z.string(), stickyCookieFields, (cookie) => ({ name: cookie }))], {
    error: 'expected the name of a cookie, or a section',
  })
  .describe('the cookie that balance: sticky sets: its name, or a section')

const group = z.strictObject({
  servers,
  balance: z
    .enum(['round-robin', 'least-connections', 'power-of-two', 'hash', 'sticky'])
    .describe('how a server is chosen: round-robin, least-connections, power-of-two (the less busy of two), hash or sticky')
    .prefault('power-of-two'),
  hashOn: hashOn.prefault('client'),
  stickyCookie: stickyCookie.prefault({}),
  slowStart: quantity(
    'ms',
    { min: 0, max: day },
    'how long a server that is new or back gets less than its share, 0 = not at all',
  ).prefault('0'),
  panicShare: share('with fewer than this share of servers usable, health is not looked at; 0 = never').prefault(0.5),
  resolveAll: z.boolean().describe('each address of a name is a server of its own').prefault(false),
  health: health.exactOptional(),
  outlier: outlier.exactOptional(),
  breaker: breaker.exactOptional(),
  host: matchingText(
    "Host that servers get: preserve for the client's, or another",
    /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::[0-9]{1,5})?$/,
    (text) => `${show(text)} is not preserve or a host[:port]`,
  ).prefault('preserve'),
  pool: numbers(poolTable, 'pools of this group, instead of those for all').exactOptional(),
  timeouts: numbers(timeoutTable, 'timers of this group, instead of those for all', groupTimeouts).exactOptional(),
  desync: numbers(desyncLimitTable, 'of this group, instead of those for all').exactOptional(),
})

const upstream = z.union([group, short(servers, group, (list) => ({ servers: z.encode(servers, list) }))], {
  error: 'expected a list of addresses, or a section with servers',
})

const exactValue = z.strictObject({ exact: z.string().describe('the value') })
const valueMatch = z.union(
  [
    exactValue,
    z.strictObject({ prefix: z.string().describe('what the value begins with') }),
    z.strictObject({ pattern: regularExpression('a regular expression for the value') }),
    z.strictObject({ present: z.boolean().describe('whether the field is there at all') }),
    short(z.string(), exactValue, (exact) => ({ exact })),
  ],
  { error: 'expected a text, or one of exact, prefix, pattern and present' },
)

const pathText = (doc: string) =>
  matchingText(doc, /^\/[\x21\x22\x24-\x3e\x40-\x7e]*$/, (text) => `${show(text)} is not a path; it begins with / and has no space, ? or #`)

const pathPrefix = z.strictObject({ prefix: pathText('first segments of the path') })
/** What means many paths elsewhere would mean one path here that nobody ever asks for. */
const plainPrefix = checkedText(
  'first segments of the path',
  (text) => {
    if (/^\/.*[*{}]/.test(text))
      throw new Error(
        `nothing stands for other text in ${show(text)}: a path takes all that is below it, and { pattern } is a regular expression; write { prefix } or { exact } when it is meant to the letter`,
      )
  },
  /^(?!\/.*[*{}])/,
)
const pathMatch = z
  .union(
    [
      z.strictObject({ exact: pathText('the whole path') }),
      pathPrefix,
      z.strictObject({ pattern: regularExpression('a regular expression for the whole path') }),
      short(plainPrefix, pathPrefix, (prefix) => ({ prefix })),
    ],
    { error: 'expected a path, or one of exact, prefix and pattern' },
  )
  .describe('a prefix at the borders of segments, or { exact }, { prefix } or { pattern }')

const hostPattern =
  /^(?:\*\.)?(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?$|^\[[0-9A-Fa-f:.]+\]$/
const hosts = oneOrMore(
  matchingText(
    'a host name, or *.example.com',
    hostPattern,
    (text) => `${show(text)} is not a host name, or *. and a host name; ports are not looked at`,
  ),
  'host names, or *.example.com for all below it; none: any',
)
const method = checkedText(
  'a method',
  (text) => {
    if (!isToken(text)) throw new Error(`${show(text)} is not a method`)
    if (text !== text.toUpperCase()) throw new Error(`methods are compared to the letter: write ${text.toUpperCase()}, not ${show(text)}`)
  },
  /^[!#$%&'*+\-.^_`|~0-9A-Z]+$/,
)
const methods = oneOrMore(method, 'methods; none: any')

const match = z
  .strictObject({
    hosts: hosts.exactOptional(),
    host: hosts.describe('another name for hosts').exactOptional(),
    path: pathMatch.exactOptional(),
    methods: methods.exactOptional(),
    method: methods.describe('another name for methods').exactOptional(),
    headers: z.record(token('a field name', 'a field name'), valueMatch).describe('request fields, by name').exactOptional(),
  })
  .superRefine((given, context) => {
    for (const [one, other] of [
      ['host', 'hosts'],
      ['method', 'methods'],
    ] as const) {
      if (given[one] !== undefined && given[other] !== undefined)
        context.addIssue({ code: 'custom', path: [one], message: `${one} and ${other} are one thing; write it once`, input: given })
    }
  })
  .describe('what a request has to have; nothing: any request')

const fieldEdits = z.strictObject({
  remove: oneOrMore(token('a field name', 'a field name'), 'fields that are taken away').prefault([]),
  set: z
    .record(token('a field name', 'a field name'), fieldValue('the value'))
    .describe('fields with their values, instead of what is there')
    .prefault({}),
  add: z
    .record(token('a field name', 'a field name'), fieldValue('the value'))
    .describe('fields with their values, beside what is there')
    .prefault({}),
})

const redirectStatuses = [301, 302, 303, 307, 308] as const
const redirectFields = z.strictObject({
  location: checkedText(
    'where to; may hold {host}, {path} and {query}; a 1.0 request without Host has no {host}, and gets 400',
    (text) => {
      const unknown = /\{(?!(?:host|path|query)\})[^}]*\}?/.exec(text)?.[0]
      if (unknown !== undefined) throw new Error(`${show(unknown)} stands for nothing; there are {host}, {path} and {query}`)
      if (text.includes('?{query}')) throw new Error('{query} has its ? already: write {path}{query}')
      if (!/^[\x21-\x7e]+$/.test(text))
        throw new Error(`${show(text)} is not a location: no spaces, and everything beyond ASCII is percent-encoded`)
    },
    /^(?!.*\?\{query\})(?:[\x21-\x7a\x7c-\x7e]|\{(?:host|path|query)\})+$/,
  ),
  status: z.literal(redirectStatuses).describe('301, 302, 303, 307 or 308').prefault(302),
})
const redirect = z
  .union([redirectFields, short(z.string(), redirectFields, (location) => ({ location }))], {
    error: 'expected a location, or a section with one',
  })
  .describe('answers with a redirect: a location, or a section')

const answerFields = z.strictObject({
  status: quantity('count', { min: 200, max: 599 }, 'status of the answer').prefault(200),
  contentType: fieldValue('Content-Type of the answer').prefault('text/plain; charset=utf-8'),
  body: z.string().max(1_048_576).describe('body of the answer; with the status of an error and none: the error page').prefault(''),
})
const answer = z
  .union(
    [
      answerFields,
      short(z.string(), answerFields, (body) => ({ body })),
      short(z.number().meta({ minimum: 200, maximum: 599, multipleOf: 1 }), answerFields, (status) => ({ status })),
    ],
    {
      error: 'expected a text, a status, or a section',
    },
  )
  .describe('answers by itself: a body, a status, or a section')

const retryReasons = 'connect, closed, timeout, or a status, a class or a range from 400 to 599, such as 503, 5xx or 502-504'
const retry = z
  .strictObject({
    attempts: quantity('count', { min: 0, max: 16 }, 'servers tried after the first').prefault(1),
    on: z
      .array(z.union([z.enum(['connect', 'closed', 'timeout']), statusRange(4, retryReasons)], { error: `expected ${retryReasons}` }))
      .describe(
        'connect: nothing was sent; closed: the connection ended without a response; timeout; or a status, 5xx or 502-504, for idempotent methods',
      )
      .prefault(['connect', 'closed']),
    budget: share('share of the exchanges of the group that may be retries').prefault(0.2),
    budgetMin: quantity('count', { min: 0, max: countMax }, 'retries that are allowed beyond that share').prefault(3),
  })
  .describe('when another server is tried')

const rewriteFields = z.strictObject({ prefix: pathText('what stands for the matched prefix') })
const mirrorFields = z.strictObject({
  upstream: name('the name of a group').describe('the group that gets copies; its answers are thrown away'),
  share: share('share of the requests that is copied').prefault(1),
})

const route = z.strictObject({
  name: name('the name in logs and metrics; route-1 and so on by default').exactOptional(),
  match: match.prefault({}),
  upstream: name('the name of a group').describe('the group of servers that gets the request').exactOptional(),
  redirect: redirect.exactOptional(),
  answer: answer.exactOptional(),
  rewrite: z
    .union([rewriteFields, short(z.string(), rewriteFields, (prefix) => ({ prefix }))], {
      error: 'expected a path, or a section with prefix',
    })
    .describe('what stands for the matched prefix in the path that the server gets: a path, or a section')
    .exactOptional(),
  requestHeaders: fieldEdits.describe('changes fields of the request').prefault({}),
  responseHeaders: fieldEdits.describe('changes fields of the response').prefault({}),
  securityFields: securityFields.describe('response fields that protect browsers, instead of what the listener says').exactOptional(),
  errorPages: errorPages.prefault({}),
  timeouts: numbers(timeoutTable, 'timers of these exchanges, instead of those for all', exchangeTimeouts).exactOptional(),
  requestBodyBytes: requestBodyBytes.exactOptional(),
  retry: retry.exactOptional(),
  rateLimits: rateLimitNames.prefault([]),
  allow: z.array(network('an address or a network in CIDR notation')).describe('only these clients; 403').prefault([]),
  deny: z.array(network('an address or a network in CIDR notation')).describe('not these clients; 403').prefault([]),
  mirror: z
    .union([mirrorFields, short(z.string(), mirrorFields, (to) => ({ upstream: to }))], {
      error: 'expected the name of a group, or a section with upstream',
    })
    .describe('copies requests to another group: its name, or a section')
    .exactOptional(),
  rules: rules.prefault({}),
})

const rateLimitKey = z
  .union(
    [
      z.codec(z.enum(['client', 'route', 'all']), z.strictObject({ kind: z.enum(['client', 'route', 'all']) }), {
        decode: (kind) => ({ kind }),
        encode: ({ kind }) => kind,
      }),
      z.codec(
        z.strictObject({ header: token('name of a request field', 'a field name') }),
        z.strictObject({ kind: z.literal('header'), name: z.string() }),
        {
          decode: ({ header }) => ({ kind: 'header' as const, name: header.toLowerCase() }),
          encode: ({ name: header }) => ({ header }),
        },
      ),
    ],
    { error: 'expected client, route, all or { header: NAME }' },
  )
  .describe('what is counted together: client (an address), route, all, or { header: NAME }')

const rateLimitFields = z.strictObject({
  requests: quantity('count', { min: 1, max: 1_000_000_000 }, 'so many requests'),
  per: quantity('ms', { min: 1, max: day }, 'in this time').prefault('1s'),
  burst: quantity('count', { min: 1, max: 1_000_000_000 }, 'so many at once; requests by default').exactOptional(),
  key: rateLimitKey.prefault('client'),
  ipv6Prefix: quantity('count', { min: 1, max: 128 }, 'addresses of IPv6 count by this prefix').prefault(64),
  announce: z.boolean().describe('RateLimit fields also in responses to requests that are let through').prefault(false),
  shared: z.boolean().describe('counted across machines, in rateLimitStore; true by default when there is one').exactOptional(),
})

const ratePattern = /^[0-9]+\/(?:ms|[smhd]|[0-9][0-9a-z]*)$/
const rateLimit = z
  .union(
    [
      rateLimitFields,
      short(
        matchingText('a rate', ratePattern, (text) => `${show(text)} is not a rate; write 100/s, 1000/m or 50/10s`),
        rateLimitFields,
        (text) => {
          const [requests = '', per = ''] = text.split('/')
          return { requests, per: /^[0-9]/.test(per) ? per : `1${per}` }
        },
      ),
    ],
    { error: 'expected a rate such as 100/s, or a section' },
  )
  .describe('requests in a time: 100/s, or a section')

const storeFields = z.strictObject({
  url: secret.describe('redis://[user:password@]host:port[/db], rediss:// for TLS; { env: NAME } or { file: PATH }'),
  ca: secret.describe("authorities that may sign the store's certificate, PEM: { file: PATH }; those of Node by default").exactOptional(),
  certificate: secret.describe('the certificate that the store asks for, PEM: { file: PATH }').exactOptional(),
  key: secret.describe('the key of that certificate, PEM: { file: PATH }').exactOptional(),
  deadline: quantity('ms', { min: 1, max: 10_000 }, 'then it counts as gone').prefault('20ms'),
  onError: z
    .enum(['local', 'open', 'closed'])
    .describe('when it is slow or gone: count here, let all through, or refuse all')
    .prefault('local'),
  prefix: z.string().max(128).describe('what its keys begin with').prefault('eproxy:'),
})
const rateLimitStore = z
  .union([storeFields, short(z.string(), storeFields, (url) => ({ url }))], { error: 'expected redis://host:port, or a section with url' })
  .describe('a Redis or Valkey in which machines count together: its URL, or a section')

const adminFields = z.strictObject({
  address: listenAddress('host:port, [v6]:port or unix:path'),
  token: secret
    .describe("what whoever changes state has to know, and on a public address whoever looks; '' = nothing can be changed")
    .prefault(''),
  public: z.boolean().describe('an address that is not of this machine alone has to be meant, and needs a token').prefault(false),
})
const admin = z
  .union([adminFields, short(z.string(), adminFields, (address) => ({ address }))], { error: 'expected an address, or a section with one' })
  .describe('the listener for metrics, status and control: an address, or a section')

const accessLogFields = z.strictObject({
  destination: z
    .string()
    .min(1, { error: 'expected a path, - for standard output, or unix:path' })
    .describe('a path, - for standard output, or unix:path of a socket that takes lines'),
  format: z.enum(['json', 'combined', 'template']).describe('json, combined or template').prefault('json'),
  template: z.string().max(4_096).describe('of a line, for format: template').prefault(''),
  escape: z
    .enum(templateEscapes)
    .describe("how a template's texts are written: plain, or json for the inside of JSON strings")
    .prefault('plain'),
  sample: share('share of the exchanges that is logged; those that fail always are').prefault(1),
  redactQuery: oneOrMore(z.string().min(1), "query parameters whose values are not logged; '*' for all").prefault([]),
})
const accessLog = z
  .union([accessLogFields, short(z.string(), accessLogFields, (destination) => ({ destination }))], {
    error: 'expected a path, or a section with destination',
  })
  .describe('a line for each exchange: a path, or a section')

const workers = z
  .union([z.literal('auto'), quantity('count', { min: 1, max: workersMax }, 'processes that serve')], {
    error: `expected auto or a whole number from 1 to ${workersMax}`,
  })
  .describe('processes that serve: a number, or auto for one each core')

export const fileSchema = z
  .strictObject({
    profile: profile.exactOptional(),
    workers: workers.exactOptional(),
    listeners: z
      .array(
        z.union([listener, short(z.string(), listener, (address) => ({ address }))], {
          error: 'expected an address, or a section with one',
        }),
      )
      .min(1, { error: 'expected one listener at least' })
      .describe('where to listen: addresses, or sections; :8080 by default')
      .exactOptional(),
    upstreams: z
      .record(name('the name of a group'), upstream)
      .describe('groups of servers by name: lists of addresses, or sections')
      .prefault({}),
    routes: z.array(route).describe('which request goes where; none: all go to the one group').prefault([]),
    rateLimits: z.record(name('the name of a rate limit'), rateLimit).describe('rate limits by name').prefault({}),
    rateLimitStore: rateLimitStore.exactOptional(),
    admin: admin.exactOptional(),
    accessLog: accessLog.exactOptional(),
    log: z
      .strictObject({
        level: z
          .enum(logLevels)
          .describe(`the least that is logged: ${logLevels.join(', ')}`)
          .exactOptional(),
        format: z.enum(logFormats).describe('auto is pretty on a terminal and JSON elsewhere').exactOptional(),
      })
      .describe('log on standard error')
      .prefault({}),
    timeouts: numbers(timeoutTable, 'a timer for each phase').prefault({}),
    limits: numbers(limitTable, 'sizes, counts and rates').prefault({}),
    pool: numbers(poolTable, 'connections to each upstream server').prefault({}),
    desync: numbers(desyncLimitTable, 'when connections to a server that is out of step are not reused').prefault({}),
    supervision: numbers(supervisionTable, 'how workers are looked after').prefault({}),
    via: matchingText(
      "pseudonym in the field Via, which finds loops too; '' for no Via; eproxy- and 8 random digits by default",
      viaPattern,
      (text) => `${show(text)} is not a token or host:port`,
    ).exactOptional(),
    forwarded: forwarded.exactOptional(),
    trustedProxies: trustedProxies.prefault([]),
    nameServers: z
      .array(
        checkedText('ip, ip:port or [v6]:port', (text) => {
          if (isIPv6(text)) return
          const address = parseUpstreamAddress(text)
          if (address.kind !== 'tcp' || isIP(address.host) === 0) throw new Error(`${show(text)} is not ip, ip:port or [v6]:port`)
        }),
      )
      .describe('DNS servers that are asked for upstreams; none: those of the system')
      .prefault([]),
    halfClosedClients: z
      .enum(halfClosedModes)
      .describe('a client that ends its side before it has its answer: abort or serve')
      .exactOptional(),
    reuseAfterBody: z
      .enum(reuseModes)
      .describe('who may use an upstream connection that has carried a request body, or a HEAD: same-client or anyone')
      .exactOptional(),
    socketAccess: z.enum(socketAccesses).describe('how sockets are driven: handles or streams').exactOptional(),
    rules: rules.describe('what happens when a rule is broken, on every route').prefault({}),
  })
  .describe('configuration of eproxy-raw')

/** What people write. */
export type FileInput = z.input<typeof fileSchema>
/** What was written: numbers in their units, short forms written out. */
export type FileContent = z.output<typeof fileSchema>
export type FileListener = z.output<typeof listener>
export type FileGroup = z.output<typeof group>
export type FileRoute = z.output<typeof route>
export type FileRetry = z.output<typeof retry>
export type FileHealth = z.output<typeof healthFields>
export type FileRateLimit = z.output<typeof rateLimitFields>
export type FilePage = z.output<typeof jsonPage>
export type FileErrorPages = z.output<typeof errorPages>
export type Secret = z.output<typeof secret>
