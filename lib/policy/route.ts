/** What is to be done with a request once its head is known: one object for each route, made when the configuration is read and never changed. */
import type { RequestHead, RuleId } from '../../native-free-parser/index.ts'
import type { ProxyConfig } from '../core/options.ts'
import type { RequestLimits } from '../limit/request-limits.ts'
import type { AccessList } from '../route/access.ts'
import type { PathRewrite } from '../route/rewrite.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import type { ErrorPages } from './error-pages.ts'
import type { HeadPolicy } from './head-policy.ts'
import type { LocalResponse } from './local-response.ts'
import type { RetryPolicy } from './retry.ts'

export interface Route {
  /** Unique within the configuration. */
  readonly name: string
  /** That of the listener, with the timers of this route. */
  readonly config: ProxyConfig
  /** Null: for everybody. */
  readonly access: AccessList | null
  /** Null: as many requests as come. */
  readonly limits: RequestLimits | null
  /** Undefined: the request is answered here, by `answer`. */
  readonly group: UpstreamGroup | undefined
  readonly retry: RetryPolicy
  /** What changes in its heads; null for nothing. */
  readonly heads: HeadPolicy | null
  /** What stands in errors of our own; null: words about them. */
  readonly pages: ErrorPages | null
  /** Of a request body, 0 = no limit. */
  readonly requestBodyBytes: number
  /** Rules that may be broken on it, with a line in the log. */
  readonly tolerated: ReadonlySet<RuleId>
  /** A copy of this share of the requests goes to another group. */
  readonly mirror: { readonly group: UpstreamGroup; readonly share: number } | undefined
  /** Null: the target leaves as it came. */
  readonly rewrite: PathRewrite | null
  /** Undefined without a group: no route matches the request. Throws ParseError for a request that cannot be answered so. */
  readonly answer: ((head: RequestHead) => LocalResponse) | undefined
}
