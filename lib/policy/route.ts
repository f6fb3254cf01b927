/** What is to be done with a request once its head is known: one object for each route, made when the configuration is read and never changed. */
import type { RequestHead, RuleId } from '../../native-free-parser/index.ts'
import type { ProxyConfig } from '../core/options.ts'
import type { UpstreamGroup } from '../upstream/group.ts'
import type { HeadPolicy } from './head-policy.ts'
import type { LocalResponse } from './local-response.ts'

export interface Route {
  /** Unique within the configuration. */
  readonly name: string
  /** That of the listener, with the timers of this route. */
  readonly config: ProxyConfig
  /** Undefined: the request is answered here, by `answer`. */
  readonly group: UpstreamGroup | undefined
  /** What changes in its heads; null for nothing. */
  readonly heads: HeadPolicy | null
  /** Of a request body, 0 = no limit. */
  readonly requestBodyBytes: number
  /** Rules that may be broken on it, with a line in the log. */
  readonly tolerated: ReadonlySet<RuleId>
  readonly answer: ((head: RequestHead) => LocalResponse) | undefined
}
