/**
 * Which route a request takes: the most specific of those that match it, in the order that README.md states. Compiled once into maps of hosts and
 * trees of path segments, so that a look-up costs about the same among ten routes as among thousands. What a route is for is not
 * known here.
 */
import { ParseError, type RequestHead } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'
import type { RouteMatch } from '../core/service-options.ts'
import { Conditions } from './conditions.ts'
import { hostLengthMax, parseHostPattern, readAuthority, readHost, type HostPattern } from './host.ts'
import { HostTable } from './host-table.ts'
import { findPathEnd, normalizePath, otherReadings, readRoutePath } from './path.ts'
import { Pattern } from './pattern.ts'

export interface RouteRow<R> {
  /** For messages. */
  readonly name: string
  readonly match: RouteMatch
  readonly route: R
}

/** A route for one of its hosts, or for any. */
export interface Entry<R> {
  readonly row: RouteRow<R>
  /** In the configuration. */
  readonly index: number
  readonly host: HostPattern | undefined
  readonly path: EntryPath
  readonly conditions: Conditions
}

export type EntryPath =
  | { readonly kind: 'exact' | 'prefix'; readonly text: string }
  | { readonly kind: 'pattern'; readonly pattern: Pattern }
  | { readonly kind: 'any' }

export class Router<R> {
  /** In the order in which they are tried. */
  readonly entries: readonly Entry<R>[]
  readonly #hosts: HostTable<PathIndex<R>>
  /** By what is behind the "*.". */
  readonly #wildcards: ReadonlyMap<string, PathIndex<R>>
  readonly #anyHost: PathIndex<R> | undefined
  readonly #hasHosts: boolean
  readonly #hasPaths: boolean

  /** Throws ProxyError ERR_EPROXY_OPTION. */
  constructor(rows: readonly RouteRow<R>[]) {
    this.entries = rows.flatMap(makeEntries).sort(compareEntries)
    const exact = indexByHost(this.entries.filter(({ host }) => host?.isWildcard === false))
    this.#hosts = new HostTable(exact)
    this.#wildcards = indexByHost(this.entries.filter(({ host }) => host?.isWildcard === true))
    const forAny = this.entries.filter(({ host }) => host === undefined)
    this.#anyHost = forAny.length === 0 ? undefined : new PathIndex(forAny)
    this.#hasHosts = exact.size > 0 || this.#wildcards.size > 0
    this.#hasPaths = this.entries.some(({ path }) => path.kind !== 'any')
  }

  /** Undefined when none matches. Throws ParseError H1-PATH-AMBIGUOUS, and where hosts count H1-HOST-INVALID. */
  find(head: RequestHead): R | undefined {
    const ofHost = this.#hasHosts ? this.#hosts.find(head) : undefined
    // No name of a route has escapes, but a URL library behind us would decode those of a request (RFC 3986 section 6.2.2.2) and see another host.
    if (this.#hasHosts && ofHost === undefined && readAuthority(head).includes('%')) throw new ParseError('H1-HOST-INVALID', head.pathStart)
    if (!this.#hasPaths) return this.#search(ofHost, '', head)
    const { raw, pathStart, targetEnd } = head
    const end = findPathEnd(raw, pathStart, targetEnd)
    if (end < 0) return this.#findOdd(ofHost, raw.substring(pathStart, ~end), head)
    return this.#search(ofHost, end === pathStart ? emptyPath(head) : raw.substring(pathStart, end), head)
  }

  /** All ways to read the path have to lead to the same route. */
  #findOdd(ofHost: PathIndex<R> | undefined, path: string, head: RequestHead): R | undefined {
    const normal = normalizePath(path)
    const route = this.#search(ofHost, normal, head)
    const others = otherReadings(path, normal)
    if (others === undefined) throw new ParseError('H1-PATH-AMBIGUOUS', head.pathStart)
    for (const other of others) {
      if (this.#search(ofHost, other, head) !== route) throw new ParseError('H1-PATH-AMBIGUOUS', head.pathStart)
    }
    return route
  }

  /** The ways to read the path, the normal form first, and where they lead. For explanations. */
  readings(head: RequestHead): readonly { readonly path: string; readonly route: R | undefined }[] {
    const { raw, pathStart, targetEnd } = head
    const found = findPathEnd(raw, pathStart, targetEnd)
    const end = found < 0 ? ~found : found
    const path = end === pathStart ? emptyPath(head) : raw.substring(pathStart, end)
    const normal = found < 0 ? normalizePath(path) : path
    const others = found < 0 ? (otherReadings(path, normal) ?? []) : []
    return [normal, ...others].map((one) => ({ path: one, route: this.#search(this.#hosts.find(head), one, head) }))
  }

  #search(ofHost: PathIndex<R> | undefined, path: string, head: RequestHead): R | undefined {
    return ofHost?.find(path, head) ?? this.#searchWildcards(path, head) ?? this.#anyHost?.find(path, head)
  }

  #searchWildcards(path: string, head: RequestHead): R | undefined {
    if (this.#wildcards.size === 0) return undefined
    const host = readHost(head)
    for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
      const found = this.#wildcards.get(host.substring(dot + 1))?.find(path, head)
      if (found !== undefined) return found
    }
    return undefined
  }
}

/** Entries that have the host in common, by their paths. */
class PathIndex<R> {
  readonly #exact = new Map<string, Entry<R>[]>()
  readonly #root = makeSegment<R>(undefined)
  readonly #patterns: Entry<R>[] = []
  readonly #any: Entry<R>[] = []

  /** In the order in which they are tried. */
  constructor(entries: readonly Entry<R>[]) {
    for (const entry of entries) {
      switch (entry.path.kind) {
        case 'exact':
          listOf(this.#exact, entry.path.text).push(entry)
          break
        case 'prefix':
          addPrefix(this.#root, entry.path.text, entry)
          break
        case 'pattern':
          this.#patterns.push(entry)
          break
        case 'any':
          this.#any.push(entry)
      }
    }
  }

  find(path: string, head: RequestHead): R | undefined {
    if (path.charCodeAt(0) === 0x2f) {
      const found = this.#findByPath(path, head)
      if (found !== undefined) return found
    }
    return firstOf(this.#any, head)
  }

  #findByPath(path: string, head: RequestHead): R | undefined {
    const exact = this.#exact.size === 0 ? undefined : this.#exact.get(path)
    if (exact !== undefined) {
      const found = firstOf(exact, head)
      if (found !== undefined) return found
    }
    const prefix = findByPrefix(this.#root, path, head)
    if (prefix !== undefined) return prefix
    for (const entry of this.#patterns) {
      const { path: own, row, conditions } = entry
      if (own.kind === 'pattern' && conditions.hold(head) && own.pattern.matches(path)) return row.route
    }
    return undefined
  }
}

/** A place in the tree of prefixes: everything up to the end of one segment. */
interface Segment<R> {
  readonly parent: Segment<R> | undefined
  readonly next: Map<string, Segment<R>>
  /** Of the prefix that ends here, for the path itself and what is below it. */
  readonly here: Entry<R>[]
  /** Of the prefix that ends in the "/" behind: only for what is below. */
  readonly below: Entry<R>[]
}

function makeSegment<R>(parent: Segment<R> | undefined): Segment<R> {
  return { parent, next: new Map(), here: [], below: [] }
}

function addPrefix<R>(root: Segment<R>, prefix: string, entry: Entry<R>): void {
  let place = root
  const segments = prefix.split('/')
  const isForBelow = segments.at(-1) === ''
  for (const segment of isForBelow ? segments.slice(1, -1) : segments.slice(1)) {
    let next = place.next.get(segment)
    if (next === undefined) place.next.set(segment, (next = makeSegment(place)))
    place = next
  }
  if (isForBelow) place.below.push(entry)
  else place.here.push(entry)
}

/** As deep as the path leads, and then back: the longest prefix whose conditions hold. */
function findByPrefix<R>(root: Segment<R>, path: string, head: RequestHead): R | undefined {
  let place = root
  /** Of the "/" behind the place; the length of the path when there is none. */
  let slash = 0
  while (slash < path.length && place.next.size > 0) {
    let end = path.indexOf('/', slash + 1)
    if (end < 0) end = path.length
    const next = place.next.get(path.substring(slash + 1, end))
    if (next === undefined) break
    place = next
    slash = end
  }
  let hasBelow = slash < path.length
  for (let at: Segment<R> | undefined = place; at !== undefined; at = at.parent) {
    const found = (hasBelow ? firstOf(at.below, head) : undefined) ?? firstOf(at.here, head)
    if (found !== undefined) return found
    hasBelow = true
  }
  return undefined
}

function firstOf<R>(entries: readonly Entry<R>[], head: RequestHead): R | undefined {
  for (let i = 0; i < entries.length; i++) if (entries[i]!.conditions.hold(head)) return entries[i]!.row.route
  return undefined
}

/** What an absolute target without a path stands for, RFC 9112 section 3.2.4. */
function emptyPath(head: RequestHead): string {
  return head.method === 'OPTIONS' ? '*' : '/'
}

function indexByHost<R>(entries: readonly Entry<R>[]): ReadonlyMap<string, PathIndex<R>> {
  const lists = new Map<string, Entry<R>[]>()
  for (const entry of entries) listOf(lists, entry.host!.name).push(entry)
  return new Map([...lists].map(([name, list]) => [name, new PathIndex(list)]))
}

function listOf<T>(lists: Map<string, T[]>, key: string): T[] {
  let list = lists.get(key)
  if (list === undefined) lists.set(key, (list = []))
  return list
}

function makeEntries<R>(row: RouteRow<R>, index: number): readonly Entry<R>[] {
  try {
    const path = readEntryPath(row.match.path)
    const conditions = new Conditions(row.match)
    const hosts: readonly (HostPattern | undefined)[] = row.match.hosts.length === 0 ? [undefined] : row.match.hosts.map(parseHostPattern)
    return hosts.map((host) => ({ row, index, host, path, conditions }))
  } catch (error) {
    throw new ProxyError('ERR_EPROXY_OPTION', `route ${row.name}: ${(error as Error).message}`, error)
  }
}

function readEntryPath(path: RouteMatch['path']): EntryPath {
  if (path === undefined) return { kind: 'any' }
  if ('exact' in path) return { kind: 'exact', text: readRoutePath(path.exact) }
  if ('prefix' in path) return { kind: 'prefix', text: readRoutePath(path.prefix) }
  return { kind: 'pattern', pattern: new Pattern(path.pattern) }
}

/** The order that README.md states. */
function compareEntries(a: Entry<unknown>, b: Entry<unknown>): number {
  return (
    hostRank(a) - hostRank(b) ||
    pathRank(a) - pathRank(b) ||
    (a.path.kind === 'pattern' ? 0 : b.conditions.count - a.conditions.count) ||
    a.index - b.index
  )
}

/** Exact names first; a longer wildcard before a shorter one. */
function hostRank({ host }: Entry<unknown>): number {
  if (host === undefined) return hostLengthMax + 1
  return host.isWildcard ? hostLengthMax - host.name.length : -1
}

function pathRank({ path }: Entry<unknown>): number {
  switch (path.kind) {
    case 'exact':
      return -Number.MAX_SAFE_INTEGER
    case 'prefix':
      return -path.text.length
    case 'pattern':
      return 1
    case 'any':
      return 2
  }
}
