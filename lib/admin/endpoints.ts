/** What the admin listener answers, as rows: for finding the handler, for telling 404 from 405, and for the table of the README. */

export interface Endpoint {
  readonly method: 'GET' | 'POST'
  /** A segment in capitals stands for any. */
  readonly path: string
  readonly doc: string
}

// oxfmt-ignore
export const endpointTable = {
  page: { method: 'GET', path: '/', doc: 'the status page' },
  metrics: { method: 'GET', path: '/metrics', doc: 'metrics as Prometheus reads them' },
  alive: { method: 'GET', path: '/healthz', doc: '200 while the process answers' },
  ready: { method: 'GET', path: '/readyz', doc: '200 when it listens, some server of each group is usable, and it does not drain; else 503 with the reasons' },
  status: { method: 'GET', path: '/status', doc: 'everything that the page shows, as JSON' },
  events: { method: 'GET', path: '/events', doc: 'what happens, as server-sent events: `status` each second, `live` for each thing' },
  config: { method: 'GET', path: '/config', doc: 'the effective configuration, as a file would have it, without secrets' },
  reload: { method: 'POST', path: '/reload', doc: 'read the configuration again; 409 with the reason when that is wrong, and then nothing has changed' },
  drain: { method: 'POST', path: '/drain', doc: 'finish what runs and end, as SIGTERM does' },
  logLevel: { method: 'POST', path: '/log-level', doc: 'log more or less; the level is the body' },
  enableServer: { method: 'POST', path: '/servers/GROUP/SERVER/enable', doc: 'a server gets exchanges again' },
  drainServer: { method: 'POST', path: '/servers/GROUP/SERVER/drain', doc: 'a server gets no new exchanges, but from clients that stick to it' },
  disableServer: { method: 'POST', path: '/servers/GROUP/SERVER/disable', doc: 'a server gets no new exchanges at all' },
} as const satisfies Record<string, Endpoint>

export type EndpointName = keyof typeof endpointTable

export interface EndpointMatch {
  readonly name: EndpointName
  /** What stands for the segments in capitals, in their order. */
  readonly words: readonly string[]
}

export type Lookup =
  | { readonly kind: 'found'; readonly match: EndpointMatch }
  | { readonly kind: 'missing' }
  /** There is such a path, for other methods. */
  | { readonly kind: 'wrong-method'; readonly allow: string }

/** `path` is without a query. HEAD is GET without the body. */
export function findEndpoint(method: string, path: string): Lookup {
  const asked = path.split('/')
  const wanted = method === 'HEAD' ? 'GET' : method
  const allow: string[] = []
  for (const [name, row] of Object.entries(endpointTable) as [EndpointName, Endpoint][]) {
    const words = matchSegments(row.path.split('/'), asked)
    if (words === undefined) continue
    if (row.method === wanted) return { kind: 'found', match: { name, words } }
    allow.push(row.method === 'GET' ? 'GET, HEAD' : row.method)
  }
  return allow.length === 0 ? { kind: 'missing' } : { kind: 'wrong-method', allow: allow.join(', ') }
}

function matchSegments(pattern: readonly string[], asked: readonly string[]): readonly string[] | undefined {
  if (pattern.length !== asked.length) return undefined
  const words: string[] = []
  for (const [index, segment] of pattern.entries()) {
    const given = asked[index] ?? ''
    if (/^[A-Z]+$/.test(segment)) {
      const word = decode(given)
      if (word === undefined || word === '') return undefined
      words.push(word)
    } else if (segment !== given) return undefined
  }
  return words
}

/** Undefined for what is no percent-encoding. */
function decode(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment)
  } catch {
    return undefined
  }
}
