/**
 * From what was written to what holds: defaults of the profile, of the option tables and of what is named elsewhere, and the checks that
 * look at more than one value. The result has the shape of the file, so that it can be printed as one.
 */
import {
  desyncLimitTable,
  limitTable,
  poolTable,
  supervisionTable,
  timeoutTable,
  type DesyncLimits,
  type Limits,
  type PoolLimits,
  type Supervision,
  type Timeouts,
} from '../core/options.ts'
import { suggest } from '../core/suggest.ts'
import { formatQuantity } from '../core/units.ts'
import { findEditFault, findValueFault } from '../policy/field-edits.ts'
import { edgeSecurityFields, findSecurityFault } from '../policy/security-fields.ts'
import { findCookieFault } from '../upstream/sticky-cookie.ts'
import { canonicalAddress, show } from './leaves.ts'
import {
  defaultStickyCookie,
  type FileContent,
  type FileGroup,
  type FileHealth,
  type FileListener,
  type FileRateLimit,
  type FileRoute,
} from './schema.ts'

type Profile = 'raw' | 'edge'
type Given<T, K extends keyof T> = T & { readonly [P in K]-?: Exclude<T[P], undefined> }

export type CompleteListener = Given<
  FileListener,
  | 'profile'
  | 'forwarded'
  | 'trustedProxies'
  | 'requestId'
  | 'traceparent'
  | 'serverField'
  | 'securityFields'
  | 'rateLimits'
  | 'connectionsPerClient'
  | 'requestBodyBytes'
>
export type CompleteRoute = Given<FileRoute, 'name'>
export type CompleteHealth = Given<FileHealth, 'timeout'>
export type CompleteGroup = Omit<FileGroup, 'health'> & { readonly health?: CompleteHealth }
export type CompleteRateLimit = Given<FileRateLimit, 'burst' | 'shared'>

/** The file with everything that has a default. */
export type CompleteContent = Omit<
  Given<FileContent, 'profile' | 'workers' | 'forwarded' | 'halfClosedClients' | 'reuseAfterBody' | 'socketAccess'>,
  'listeners' | 'upstreams' | 'routes' | 'rateLimits' | 'timeouts' | 'limits' | 'pool' | 'desync' | 'supervision' | 'log'
> & {
  readonly listeners: CompleteListener[]
  readonly upstreams: Record<string, CompleteGroup>
  readonly routes: CompleteRoute[]
  readonly rateLimits: Record<string, CompleteRateLimit>
  readonly timeouts: Timeouts
  readonly limits: Limits
  readonly pool: PoolLimits
  readonly desync: DesyncLimits
  readonly supervision: Supervision
  readonly log: Required<FileContent['log']>
}

/** Something that is wrong with the whole, at the value that `steps` lead to. */
export interface Objection {
  readonly steps: readonly PropertyKey[]
  readonly isKey?: boolean
  readonly message: string
  /** The end of the message: what it does not fit together with, whose places are told as well. */
  readonly others?: readonly { readonly name: string; readonly steps: readonly PropertyKey[] }[]
}

/** The rate limit that listeners with the profile edge have when nothing is said of limits. */
export const edgeRateLimitName = 'edge-client'
const edgeRateLimit: CompleteRateLimit = {
  requests: 100,
  per: 1_000,
  burst: 200,
  key: { kind: 'client' },
  ipv6Prefix: 64,
  announce: false,
  shared: false,
}

const mebibyte = 1_048_576
/** What the profile decides. */
const profiles = {
  raw: {
    forwarded: 'off',
    requestId: false,
    serverField: 'pass',
    securityFields: false,
    rateLimits: [],
    connectionsPerClient: 0,
    requestBodyBytes: 0,
  },
  edge: {
    forwarded: 'both',
    requestId: { name: 'X-Request-Id', accept: 'trusted' },
    serverField: 'remove',
    securityFields: edgeSecurityFields,
    rateLimits: [edgeRateLimitName],
    connectionsPerClient: 100,
    requestBodyBytes: 100 * mebibyte,
  },
} as const satisfies Record<Profile, object>

export function complete(file: FileContent): CompleteContent {
  const profile = file.profile ?? 'raw'
  const listeners = (file.listeners ?? [{ address: ':8080', errorPages: {}, rules: {}, overload: 'answer' } satisfies FileListener]).map(
    (row) => completeListener(row, file, profile),
  )
  const hasStore = file.rateLimitStore !== undefined
  const rateLimits = Object.fromEntries(
    Object.entries(file.rateLimits).map(([name, row]) => [
      name,
      { ...row, burst: row.burst ?? row.requests, shared: row.shared ?? hasStore },
    ]),
  )
  if (listeners.some((row) => row.rateLimits.includes(edgeRateLimitName)))
    rateLimits[edgeRateLimitName] ??= { ...edgeRateLimit, shared: hasStore }
  const upstreams = Object.fromEntries(Object.entries(file.upstreams).map(([name, row]) => [name, completeGroup(row)]))
  const [onlyGroup, ...others] = Object.keys(file.upstreams)
  const isOnlyGroup = onlyGroup !== undefined && others.length === 0
  const routes = file.routes.length === 0 && isOnlyGroup ? [makeDefaultRoute(onlyGroup)] : file.routes
  return {
    ...file,
    profile,
    workers: file.workers ?? 'auto',
    listeners,
    upstreams,
    routes: routes.map((row, index) => ({ ...row, name: row.name ?? `route-${index + 1}` })),
    rateLimits,
    log: { level: file.log.level ?? 'info', format: file.log.format ?? 'auto' },
    timeouts: withDefaults(timeoutTable, file.timeouts),
    limits: withDefaults(limitTable, file.limits),
    pool: withDefaults(poolTable, file.pool),
    desync: withDefaults(desyncLimitTable, file.desync),
    supervision: withDefaults(supervisionTable, file.supervision),
    forwarded: file.forwarded ?? profiles[profile].forwarded,
    halfClosedClients: file.halfClosedClients ?? 'abort',
    reuseAfterBody: file.reuseAfterBody ?? 'same-client',
    socketAccess: file.socketAccess ?? 'handles',
  }
}

function completeListener(row: FileListener, file: FileContent, fileProfile: Profile): CompleteListener {
  const profile = row.profile ?? fileProfile
  const { rateLimits, ...defaults } = profiles[profile]
  return {
    ...defaults,
    traceparent: false,
    trustedProxies: file.trustedProxies,
    rateLimits: [...rateLimits],
    ...(file.forwarded !== undefined && { forwarded: file.forwarded }),
    ...row,
    profile,
    rules: { ...file.rules, ...row.rules },
  }
}

const healthTimeoutMs = 2_000

function completeGroup({ health, ...row }: FileGroup): CompleteGroup {
  if (health === undefined) return row
  return { ...row, health: { ...health, timeout: health.timeout ?? Math.min(healthTimeoutMs, health.interval) } }
}

function makeDefaultRoute(group: string): FileRoute {
  const noEdits = { remove: [], set: {}, add: {} }
  return {
    name: 'default',
    match: {},
    upstream: group,
    requestHeaders: noEdits,
    responseHeaders: noEdits,
    errorPages: {},
    rateLimits: [],
    allow: [],
    deny: [],
    rules: {},
  }
}

function withDefaults<K extends string>(
  table: Readonly<Record<K, { readonly default: number }>>,
  given: { readonly [P in K]?: number },
): { readonly [P in K]: number } {
  const names = Object.keys(table) as K[]
  return Object.fromEntries(names.map((name) => [name, given[name] ?? table[name].default])) as { readonly [P in K]: number }
}

/** What does not fit together. */
export function findObjections(file: CompleteContent): Objection[] {
  return [
    ...findListenerObjections(file),
    ...file.routes.flatMap((row, index) => findRouteObjections(row, ['routes', index], file)),
    ...findRepeatedNames(file.routes),
    ...findRepeatedMatches(file),
    ...findGroupObjections(file),
    ...findStoreObjections(file),
    ...findAdminObjections(file),
  ]
}

function findListenerObjections({ listeners, routes, rateLimits }: CompleteContent): Objection[] {
  const found: Objection[] = []
  const seen = new Set<string>()
  const routeNames = routes.map(({ name }) => name)
  for (const [index, row] of listeners.entries()) {
    const steps = ['listeners', index]
    const address = canonicalAddress(row.address)
    if (seen.has(address)) found.push({ steps: [...steps, 'address'], message: `another listener has ${row.address} already` })
    seen.add(address)
    if (row.address.startsWith('unix:') && row.connectionsPerClient > 0 && row.profile === 'raw')
      found.push({ steps: [...steps, 'connectionsPerClient'], message: 'clients on a unix socket have no address to be counted by' })
    for (const [place, name] of (row.routes ?? []).entries())
      found.push(...unknownName(name, routeNames, 'route', [...steps, 'routes', place]))
    for (const [place, name] of row.rateLimits.entries())
      found.push(...unknownName(name, Object.keys(rateLimits), 'rate limit', [...steps, 'rateLimits', place]))
    if (row.requestId !== false) found.push(...objection([...steps, 'requestId'], findEditFault('request', 'set', row.requestId.name, '')))
    found.push(...objection([...steps, 'serverField'], findValueFault(row.serverField, 'the value')))
    found.push(...findSecurityObjections(row, steps))
  }
  return found
}

function findSecurityObjections({ securityFields }: Pick<CompleteRoute, 'securityFields'>, steps: readonly PropertyKey[]): Objection[] {
  if (securityFields === undefined || securityFields === false) return []
  return objection([...steps, 'securityFields'], findSecurityFault(securityFields))
}

function findEditObjections(row: CompleteRoute, steps: readonly PropertyKey[]): Objection[] {
  return (['request', 'response'] as const).flatMap((side) => {
    const key = `${side}Headers` as const
    const { remove, set, add } = row[key]
    const findFaults = (action: 'set' | 'add', fields: Readonly<Record<string, string>>): Objection[] =>
      Object.entries(fields).flatMap(([name, value]) => {
        const isOfName = findEditFault(side, action, name, '') !== ''
        return objection([...steps, key, action, name], findEditFault(side, action, name, value), isOfName)
      })
    return [
      ...remove.flatMap((name, index) => objection([...steps, key, 'remove', index], findEditFault(side, 'remove', name, ''))),
      ...findFaults('set', set),
      ...findFaults('add', add),
    ]
  })
}

/** None for ''. */
function objection(steps: readonly PropertyKey[], message: string, isKey = false): Objection[] {
  return message === '' ? [] : [{ steps, message, isKey }]
}

const actionKeys = ['upstream', 'redirect', 'answer'] as const

function findRouteObjections(row: CompleteRoute, steps: readonly PropertyKey[], file: CompleteContent): Objection[] {
  const found: Objection[] = []
  const groups = Object.keys(file.upstreams)
  const actions = actionKeys.filter((key) => row[key] !== undefined)
  const [first, second] = actions
  if (first === undefined) found.push({ steps, message: `expected one of ${actionKeys.join(', ')}: the route leads nowhere` })
  if (second !== undefined)
    found.push({ steps: [...steps, second], isKey: true, message: `${first} and ${second} exclude each other: a route does one thing` })
  if (row.upstream !== undefined) found.push(...unknownName(row.upstream, groups, 'upstream group', [...steps, 'upstream']))
  else {
    for (const key of ['rewrite', 'retry', 'mirror'] as const) {
      if (row[key] !== undefined) found.push({ steps: [...steps, key], isKey: true, message: `${key} is for routes with upstream only` })
    }
  }
  if (row.mirror !== undefined) found.push(...unknownName(row.mirror.upstream, groups, 'upstream group', [...steps, 'mirror', 'upstream']))
  if (row.rewrite !== undefined && (row.match.path === undefined || !('prefix' in row.match.path)))
    found.push({ steps: [...steps, 'rewrite'], isKey: true, message: 'rewrite changes the matched prefix: match.path has to be a prefix' })
  for (const [place, name] of row.rateLimits.entries())
    found.push(...unknownName(name, Object.keys(file.rateLimits), 'rate limit', [...steps, 'rateLimits', place]))
  return [...found, ...findSecurityObjections(row, steps), ...findEditObjections(row, steps)]
}

function findRepeatedNames(routes: readonly CompleteRoute[]): Objection[] {
  const names = routes.map(({ name }) => name)
  return names.flatMap((name, index) =>
    names.indexOf(name) === index
      ? []
      : [{ steps: ['routes', index, 'name'], message: `route ${names.indexOf(name) + 1} has the name ${show(name)} already` }],
  )
}

/** Of routes of a listener for the same requests the first takes them: another that is for nothing else would never be used. */
function findRepeatedMatches({ routes, listeners }: CompleteContent): Objection[] {
  const keys = routes.map(({ match }) => toKeys(match))
  const firsts = new Map<number, readonly number[]>()
  for (const { routes: chosen } of listeners) {
    const takers = new Map<string, number>()
    for (const [index, { name }] of routes.entries()) {
      if (chosen !== undefined && !chosen.includes(name)) continue
      const before = keys[index]!.flatMap((key) => takers.get(key) ?? [])
      if (before.length === keys[index]!.length && !firsts.has(index)) firsts.set(index, [...new Set(before)])
      for (const key of keys[index]!) if (!takers.has(key)) takers.set(key, index)
    }
  }
  return [...firsts].map(([index, others]) => ({
    steps: ['routes', index, 'match'],
    message: 'the same requests are taken by',
    others: others.map((other) => ({ name: `route ${show(routes[other]!.name)}`, steps: ['routes', other, 'match'] })),
  }))
}

/** One for each host: routes with one in common take the same requests of that host. */
function toKeys({ host, hosts = host ?? [], path, method, methods = method ?? [], headers = {} }: CompleteRoute['match']): string[] {
  const fields = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  const rest = [path, [...new Set(methods)].sort(), fields.sort(([a], [b]) => (a < b ? -1 : 1))]
  const anyHost = ''
  return (hosts.length === 0 ? [anyHost] : hosts).map((one) => JSON.stringify([one.toLowerCase(), ...rest]))
}

function findGroupObjections({ upstreams, routes }: CompleteContent): Objection[] {
  const found: Objection[] = []
  const names = Object.keys(upstreams)
  if (names.length === 0 && routes.length === 0)
    found.push({ steps: [], message: 'there is nothing to do: expected upstreams, or routes that answer by themselves' })
  if (names.length > 1 && routes.length === 0)
    found.push({
      steps: ['upstreams'],
      isKey: true,
      message: `there are ${names.length} groups and no routes that say which request goes where`,
    })
  for (const [name, group] of Object.entries(upstreams)) {
    const addresses = group.servers.map(({ address }) => address)
    for (const [index, address] of addresses.entries()) {
      if (addresses.indexOf(address) !== index)
        found.push({ steps: ['upstreams', name, 'servers', index], message: `the group has ${address} already; give it a weight instead` })
    }
    if (group.servers.every(({ backup }) => backup))
      found.push({
        steps: ['upstreams', name],
        isKey: true,
        message: 'every server of this group is a backup; one has to be there for every day',
      })
    if (group.servers.some(({ backup }) => !backup) && group.servers.every(({ backup, weight }) => backup || weight === 0))
      found.push({ steps: ['upstreams', name, 'servers'], message: 'no server of this group gets requests: every weight is 0' })
    found.push(...findIdleOptions(group, ['upstreams', name]))
    if (group.health !== undefined && group.health.timeout > group.health.interval)
      found.push({
        steps: ['upstreams', name, 'health', 'timeout'],
        message: `a check has to end before the next one begins: expected at most health.interval, which is ${formatQuantity('ms', group.health.interval)}, not ${formatQuantity('ms', group.health.timeout)}`,
      })
    if (group.outlier !== undefined && group.outlier.ejectMax < group.outlier.eject)
      found.push({ steps: ['upstreams', name, 'outlier', 'ejectMax'], message: 'expected no less than outlier.eject' })
  }
  return found
}

/** What somebody wrote in the belief that it does something. */
function findIdleOptions({ balance, hashOn, stickyCookie, health }: CompleteGroup, steps: readonly PropertyKey[]): Objection[] {
  const found: Objection[] = []
  const unused = (key: string, message: string): void => void found.push({ steps: [...steps, ...key.split('.')], isKey: true, message })
  if (hashOn.kind !== 'client' && balance !== 'hash') unused('hashOn', `it is for balance: hash, and balance is ${balance}`)
  if (balance === 'sticky') {
    const fault = findCookieFault(stickyCookie.name, { ...stickyCookie, maxAgeMs: stickyCookie.maxAge })
    found.push(...objection([...steps, 'stickyCookie'], fault))
  } else if (JSON.stringify(stickyCookie) !== JSON.stringify(defaultStickyCookie))
    unused('stickyCookie', `it is for balance: sticky, and balance is ${balance}`)
  if (health?.kind === 'tcp') {
    if (health.path !== '/') unused('health.path', noQuestion)
    if (health.host !== '') unused('health.host', noQuestion)
    if (health.body !== '') unused('health.body', noQuestion)
  }
  return found
}

const noQuestion = 'a check of kind tcp asks for nothing; it is for kind: http'

function findStoreObjections({ rateLimits, rateLimitStore }: CompleteContent): Objection[] {
  if (rateLimitStore !== undefined) return []
  return Object.entries(rateLimits).flatMap(([name, { shared }]) =>
    shared ? [{ steps: ['rateLimits', name, 'shared'], message: 'there is no rateLimitStore in which machines could count together' }] : [],
  )
}

function findAdminObjections({ admin, accessLog }: CompleteContent): Objection[] {
  const found: Objection[] = []
  if (admin !== undefined && !admin.public && !isLocal(admin.address))
    found.push({
      steps: ['admin', 'address'],
      message: `${admin.address} can be reached from other machines; say public: true when that is meant, or take 127.0.0.1`,
    })
  if (admin !== undefined && admin.public && !isLocal(admin.address) && admin.token === '')
    found.push({
      steps: ['admin', 'public'],
      message: `${admin.address} can be reached from other machines and needs a token: who does not know it sees nothing there`,
    })
  if (accessLog?.format === 'template' && accessLog.template === '')
    found.push({ steps: ['accessLog', 'format'], message: 'expected accessLog.template, which says what a line is' })
  if (accessLog !== undefined && accessLog.format !== 'template' && accessLog.template !== '')
    found.push({ steps: ['accessLog', 'template'], message: `a template is for format: template, not for ${accessLog.format}` })
  return found
}

function isLocal(address: string): boolean {
  return /^(?:unix:|127\.[0-9.]+:|localhost:|\[::1\]:)/.test(address)
}

function unknownName(name: string, known: readonly string[], what: string, steps: readonly PropertyKey[]): Objection[] {
  if (known.includes(name)) return []
  const near = suggest(name, known)
  const hint =
    near !== undefined ? `did you mean ${near}?` : known.length === 0 ? 'there is none' : `there are ${known.slice(0, 8).join(', ')}`
  return [{ steps, message: `there is no ${what} ${show(name)}; ${hint}` }]
}
