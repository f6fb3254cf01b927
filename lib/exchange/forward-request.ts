/** What a request becomes on its way to the upstream: pure, from the parsed head to the octets that leave. */
import { encodeRequestHead, FieldKind, ParseError, spanWidth } from '../../native-free-parser/index.ts'
import type { RequestEncoding, RequestHead } from '../../native-free-parser/index.ts'
import type { HeadChanges } from '../policy/head-policy.ts'

/** Reused for every request: it is filled and read within one call. */
const encoding: RequestEncoding = {
  via: '',
  defaultHost: '',
  upgrade: '',
  maxForwards: '',
  acceptsTrailers: false,
  host: '',
  drops: 0,
  edits: null,
  added: '',
}

const noProtocols: readonly string[] = Object.freeze([])

/**
 * The head for the upstream, latin-1. `defaultHost`: for a request that names none. `offered`: the protocols of `readUpgrade`. `maxForwards`: as
 * read, -1 where it does not count. `changes`: what the route asks for, null for nothing.
 */
export function forwardRequest(
  head: RequestHead,
  via: string,
  defaultHost: string,
  offered: readonly string[],
  maxForwards: number,
  changes: HeadChanges | null,
): string {
  encoding.via = via
  encoding.defaultHost = defaultHost
  encoding.maxForwards = maxForwards < 0 ? '' : String(maxForwards - 1)
  encoding.acceptsTrailers = head.connection.te && head.has(FieldKind.TE) && acceptsTrailers(head)
  encoding.upgrade = offered.length === 0 ? '' : offered.join(', ')
  if (changes === null) {
    encoding.host = ''
    encoding.drops = 0
    encoding.edits = null
    encoding.added = ''
  } else {
    encoding.host = changes.host
    encoding.drops = changes.drops
    encoding.edits = changes.edits
    encoding.added = changes.added
  }
  return encodeRequestHead(head, encoding)
}

/** The head with another target: `head` is one that leaves, `target` in origin-form or "*". */
export function withTarget(head: string, method: string, target: string): string {
  return `${method} ${target} HTTP/1.1${head.substring(head.indexOf('\r\n'))}`
}

/** A request that names this proxy in Via has been here before. Throws ParseError H1-VIA-LOOP. */
export function refuseLoop(head: RequestHead, via: string): void {
  if (via === '' || !head.has(FieldKind.VIA)) return
  for (let i = 0; i < head.count; i++) {
    if (head.kinds[i] !== FieldKind.VIA) continue
    // received-protocol RWS received-by [ RWS comment ]
    for (const element of head.value(i).split(',')) {
      if (element.trim().split(/[ \t]+/)[1] === via) throw new ParseError('H1-VIA-LOOP', head.spans[i * spanWidth]!)
    }
  }
}

/** Max-Forwards of a TRACE or OPTIONS request (RFC 9110 section 7.6.2), -1 where it does not count. Throws ParseError H1-MAX-FORWARDS. */
export function readMaxForwards(head: RequestHead): number {
  if (!head.has(FieldKind.MAX_FORWARDS) || (head.method !== 'OPTIONS' && head.method !== 'TRACE')) return -1
  const value = head.valueOf(FieldKind.MAX_FORWARDS)
  if (head.hasSeveral(FieldKind.MAX_FORWARDS) || !/^[0-9]{1,9}$/.test(value)) {
    throw new ParseError('H1-MAX-FORWARDS', head.spans[head.lastIndex[FieldKind.MAX_FORWARDS]! * spanWidth]!)
  }
  return Number(value)
}

/** RFC 9110 section 9.2.2: may be sent again when it is not known whether it was received. */
export function isIdempotent(method: string): boolean {
  switch (method) {
    case 'GET':
    case 'HEAD':
    case 'PUT':
    case 'DELETE':
    case 'OPTIONS':
    case 'TRACE':
      return true
    default:
      return false
  }
}

/**
 * The protocols to offer on. Not h2c: that would hand the upstream connection to a protocol in which this proxy sees no requests.
 * Not from a 1.0 client, for whom Upgrade does not exist.
 */
export function readUpgrade(head: RequestHead): readonly string[] {
  if (!head.connection.upgrade || head.minorVersion === 0) return noProtocols
  const offered: string[] = []
  for (let i = 0; i < head.count; i++) {
    if (head.kinds[i] !== FieldKind.UPGRADE) continue
    for (const element of head.value(i).split(',')) {
      const protocol = element.trim()
      if (protocol !== '' && !/^h2c?(?:\/|$)/i.test(protocol)) offered.push(protocol)
    }
  }
  return offered
}

function acceptsTrailers(head: RequestHead): boolean {
  for (let i = 0; i < head.count; i++) {
    if (head.kinds[i] === FieldKind.TE && /(?:^|,)[ \t]*trailers[ \t]*(?:,|$)/i.test(head.value(i))) return true
  }
  return false
}
