/** What those who use a proxy say when they make, open and close it. */
import type { ProxyOptions } from '../core/options.ts'
import type { Logger } from '../observe/logger.ts'

export interface CreateProxyOptions extends ProxyOptions {
  /** A pino logger or anything of its shape. Default: silent. */
  logger?: Logger
}

export interface ListenOptions {
  /** Abandons listening; also closes the proxy when it fires later. */
  signal?: AbortSignal
  /** An inherited socket that is bound to the address already; it is the proxy's from here on. */
  fd?: number
}

export interface CloseOptions {
  /** How long running exchanges may take. Default: timeouts.drain. */
  graceMs?: number
  /**
   * How long clients that are between two requests may send one more, which is answered with `Connection: close`. Default 0: they are
   * closed at once, and a request that is on its way at that moment is lost. For when somebody else goes on serving.
   */
  idleMs?: number
  /** Ends the grace at once. */
  signal?: AbortSignal
}
