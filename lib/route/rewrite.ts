/**
 * Another target for the upstream: what the route has matched of the path is replaced by another prefix. What is left is taken from the normal form of
 * the path, or ".." could climb out of the new prefix; the query stays as it came.
 */
import type { RequestHead } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'
import type { RouteMatch } from '../core/service-options.ts'
import { findPathEnd, normalizePath, readRoutePath } from './path.ts'

export class PathRewrite {
  /** How much of the path goes: without a "/" at its end, which begins the rest. */
  readonly #matchedLength: number
  readonly #isExact: boolean
  /** Without a "/" at its end. */
  readonly #prefix: string
  /** For a path of which nothing is left. */
  readonly #whole: string

  /** `matched` is what the route asks of the path. Throws ProxyError ERR_EPROXY_OPTION. */
  constructor(matched: RouteMatch['path'], prefix: string) {
    if (matched !== undefined && 'pattern' in matched)
      throw new ProxyError('ERR_EPROXY_OPTION', 'rewrite: a pattern has no prefix that could be replaced; match an exact path or a prefix')
    const isExact = matched !== undefined && 'exact' in matched
    const text = matched === undefined ? '/' : readRoutePath(isExact ? matched.exact : (matched as { prefix: string }).prefix)
    this.#isExact = isExact
    this.#matchedLength = text.endsWith('/') ? text.length - 1 : text.length
    this.#whole = readRoutePath(prefix)
    this.#prefix = this.#whole.endsWith('/') ? this.#whole.slice(0, -1) : this.#whole
  }

  /** The target in origin-form; of a request whose target is "*", that. */
  apply({ raw, pathStart, targetEnd, method }: RequestHead): string {
    const found = findPathEnd(raw, pathStart, targetEnd)
    const end = found < 0 ? ~found : found
    if (raw.charCodeAt(pathStart) === 0x2a || (end === pathStart && method === 'OPTIONS' && end === targetEnd)) return '*'
    const path = raw.substring(pathStart, end)
    const normal = found < 0 ? normalizePath(path) : path
    const rest = this.#isExact ? '' : normal.substring(this.#matchedLength)
    return (rest === '' ? this.#whole : this.#prefix + rest) + raw.substring(end, targetEnd)
  }
}
