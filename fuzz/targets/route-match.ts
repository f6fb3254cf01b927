/**
 * The router against a naive reader of its order, and its reading of a path against what servers of different habits make of the same octets: none
 * of them may see a path that belongs to another route than the one that was taken.
 */
import { createParser, ParseError, type RequestHead } from '../../native-free-parser/index.ts'
import type { RouteMatch } from '../../lib/core/service-options.ts'
import { normalizePath } from '../../lib/route/path.ts'
import { Router } from '../../lib/route/router.ts'
import type { SeededRandom } from '../../test/support/seeded-random.ts'
import { EngineLease } from '../engine-lease.ts'
import { mapOnto, toBytes, toText } from '../octets.ts'
import { expect, expectSame, type Canary, type FuzzTarget } from '../target.ts'

interface Asked {
  readonly method: string
  readonly host: string
  readonly path: string
}

/** Number of the route, -1 for none, or the rule that the request breaks. */
type Verdict = number | string

interface Subject {
  readonly find: (matches: readonly RouteMatch[], asked: Asked) => Verdict
}

const lease = new EngineLease(2)

const subject: Subject = {
  find: (matches, { method, host, path }) => {
    const router = new Router(matches.map((match, index) => ({ name: String(index), match, route: index })))
    let verdict: Verdict = -1
    lease.use((engine) => {
      const onHead = (head: RequestHead): void => void (verdict = router.find(head) ?? -1)
      const parser = createParser(
        'request',
        { onHead, onBody() {}, onTrailers() {}, onMessageComplete() {} },
        { startLineBytes: 20_000 },
        engine,
      )
      try {
        parser.execute(toBytes(`${method} ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`))
      } catch (error) {
        if (!(error instanceof ParseError)) throw error
        verdict = error.rule
      }
      parser.dispose()
    })
    return verdict
  },
}

/** What paths turn on, so that random octets become paths that are nearly those of routes. */
// oxfmt-ignore
const pathAlphabet = ['/', '/', '/a', '/b', '/a/b', 'a', 'b', '.', '..', '/.', '/..', '//', ';', ';x', '%2f', '%2F', '%5c', '%2e', '%61', '%62', '%25', '%252e', '%252f', '%2562', '%3b', '%3f', '%23', '%20', '%C3%A9', '%00', '[', '~']
const plainAlphabet = ['/a', '/b', '/', '/ab', 'a', '.b', '~', '-']
const hosts = ['a.test', 'b.a.test', 'test', 'A.TEST:80', 'c.b.a.test.', 'other']
// oxfmt-ignore
const routePaths: readonly RouteMatch['path'][] = [
  undefined, { exact: '/' }, { exact: '/a' }, { exact: '/a/b' }, { exact: '/a/' }, { prefix: '/' }, { prefix: '/a' }, { prefix: '/a/' }, { prefix: '/a/b' }, { prefix: '/b' },
  { pattern: '/a.*' }, { pattern: '(/[ab])+' }, { pattern: '.*/b' },
]

function makeTarget({ find }: Subject): FuzzTarget {
  return {
    name: 'route-match',
    invariants: [
      'the route is the one that comes first when all that match are sorted as the order is stated',
      'no server, whether it compares paths to the letter, follows the RFC, or decodes, cuts and merges first, sees the path of another route',
      'a path that is its own normal form in every reading is never refused',
      'nothing but H1-PATH-AMBIGUOUS is ever said of a path that the parser accepts',
    ],
    run(data, random) {
      const matches = Array.from({ length: random.integer(1, 8) }, () => makeMatch(random))
      const path = `/${random.pick(shapes)(data)}`
      const asked = { method: random.pick(['GET', 'POST']), host: random.pick(hosts), path }
      const what = (): string => `${JSON.stringify(asked)} among ${JSON.stringify(matches)}`
      const verdict = find(matches, asked)
      if (typeof verdict === 'string') {
        expectSame(verdict, 'H1-PATH-AMBIGUOUS', what())
        expect(/[%;]|\/[/.]/.test(path), () => `refused: ${what()}`)
        return
      }
      const hasPaths = matches.some((match) => match.path !== undefined)
      expectSame(verdict, findNaively(matches, asked, normalizePath(path)), what())
      if (!hasPaths) return
      for (const [name, read] of Object.entries(servers)) {
        const seen = read(path)
        expectSame(findNaively(matches, asked, seen), verdict, `${what()}: a server that reads ${name} sees ${seen}`)
      }
    },
  }
}

function makeMatch(random: SeededRandom): RouteMatch {
  const path = random.pick(routePaths)
  return {
    hosts: random.chance(0.6) ? [] : [random.pick(['a.test', 'b.a.test', '*.a.test', '*.test'])],
    methods: random.chance(0.7) ? [] : [random.pick(['GET', 'POST'])],
    headers: {},
    ...(path !== undefined && { path }),
  }
}

const shapes: readonly ((data: Uint8Array) => string)[] = [
  (data) => mapOnto(data.subarray(0, 12), pathAlphabet),
  (data) => mapOnto(data.subarray(0, 4), pathAlphabet),
  (data) => mapOnto(data.subarray(0, 12), plainAlphabet),
  (data) => toText(data.subarray(0, 300)).replace(/%(?![0-9a-f]{2})|[^%\w\-.~!$&'()*+,;=:@/[\]|]/gi, '/'),
]

/** How servers read a path: each in its own words, with nothing of ours. */
const servers: Readonly<Record<string, (path: string) => string>> = {
  'to the letter, escapes of letters decoded': (path) => path.replace(/%([46][1-9a-f]|[57][0-9a]|3[0-9]|2[de])/gi, decodeOne),
  'by RFC 3986': (path) => removeDotSegments(path.replace(/%([46][1-9a-f]|[57][0-9a]|3[0-9]|2[de])/gi, decodeOne)),
  'decoded once, merged, resolved': (path) => resolve(decode(path).replace(/\/+/g, '/')),
  'decoded once': decode,
  'decoded twice, merged, resolved': (path) => resolve(decode(decode(path)).replace(/\/+/g, '/')),
  'decoded once, then split again at a question mark': (path) =>
    resolve(
      decode(path)
        .replace(/[?#][^]*/, '')
        .replace(/\/+/g, '/'),
    ),
  'with parameters cut, then decoded and resolved': (path) =>
    resolve(
      decode(path.replace(/;[^/]*/g, ''))
        .replace(/\\/g, '/')
        .replace(/\/+/g, '/'),
    ),
  'decoded, then with parameters cut': (path) =>
    resolve(
      decode(path)
        .replace(/\\/g, '/')
        .replace(/;[^/]*/g, '')
        .replace(/\/+/g, '/'),
    ),
}

function decodeOne(escape: string): string {
  return String.fromCharCode(Number.parseInt(escape.slice(1), 16))
}

function decode(path: string): string {
  return path.replace(/%[0-9a-f]{2}/gi, decodeOne)
}

function resolve(path: string): string {
  const kept: string[] = []
  const segments = path.split('/').slice(1)
  for (const segment of segments) {
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
  }
  if (/^\.\.?$/.test(segments.at(-1) ?? '')) kept.push('')
  return `/${kept.join('/')}`.replace(/\/+/g, '/')
}

/** RFC 3986 section 5.2.4, as it is written there. */
function removeDotSegments(path: string): string {
  let input = path
  let output = ''
  while (input !== '') {
    if (input.startsWith('/./')) input = input.slice(2)
    else if (input === '/.') input = '/'
    else if (input.startsWith('/../') || input === '/..') {
      input = `/${input.slice(4)}`
      output = output.slice(0, Math.max(0, output.lastIndexOf('/')))
    } else {
      const end = input.indexOf('/', 1)
      output += end < 0 ? input : input.slice(0, end)
      input = end < 0 ? '' : input.slice(end)
    }
  }
  return output
}

/** All that match, and of them the first of the stated order. */
function findNaively(matches: readonly RouteMatch[], { method, host }: Asked, path: string): number {
  const name = host.toLowerCase().replace(/:.*/, '').replace(/\.$/, '')
  const hostRank = (own: string): number => {
    if (own.startsWith('*')) return name.endsWith(own.slice(1)) ? own.length : -1
    return own === name ? 1_000 : -1
  }
  const pathRank = (own: RouteMatch['path']): number => {
    if (own === undefined) return 0
    if ('pattern' in own) return new RegExp(`^(?:${own.pattern})$`, 's').test(path) ? 1 : -1
    if ('exact' in own) return own.exact === path ? 1_000 : -1
    return path === own.prefix || path.startsWith(own.prefix.endsWith('/') ? own.prefix : `${own.prefix}/`) ? 1 + own.prefix.length : -1
  }
  const ranked = matches.map((match, index) => ({
    index,
    host: match.hosts.length === 0 ? 0 : Math.max(...match.hosts.map(hostRank)),
    path: pathRank(match.path),
    conditions: match.path !== undefined && 'pattern' in match.path ? 0 : match.methods.length,
    holds: match.methods.length === 0 || match.methods.includes(method),
  }))
  const fitting = ranked.filter((one) => one.holds && one.host >= 0 && one.path >= 0)
  fitting.sort((a, b) => b.host - a.host || b.path - a.path || b.conditions - a.conditions || a.index - b.index)
  return fitting[0]?.index ?? -1
}

export const routeMatch = makeTarget(subject)

export const routeMatchCanaries: readonly Canary[] = [
  {
    bug: 'only the normal form of a path is looked for',
    target: makeTarget({ find: (matches, asked) => subject.find(matches, { ...asked, path: normalizePath(asked.path) }) }),
  },
  {
    bug: 'parameters are a part of their segment, and nothing else',
    target: makeTarget({
      find: (matches, asked) => subject.find(matches, { ...asked, path: asked.path.replace(/;/g, '~') }),
    }),
  },
  {
    bug: 'a prefix ends anywhere',
    target: makeTarget({
      find: (matches, asked) => {
        const verdict = subject.find(matches, asked)
        return verdict === -1
          ? matches.findIndex(({ path }) => path !== undefined && 'prefix' in path && asked.path.startsWith(path.prefix))
          : verdict
      },
    }),
  },
  {
    bug: 'hosts are compared with their port',
    target: makeTarget({ find: (matches, asked) => subject.find(matches, { ...asked, host: asked.host.replace(':', '.') }) }),
  },
]
