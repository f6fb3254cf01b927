/** The library: everything that may be used from outside. The parser alone is `eproxy/parser`. */
export {
  createProxy,
  type CloseOptions,
  type CreateProxyOptions,
  type ListenOptions,
  type Proxy,
  type ProxyEvents,
  type ProxyStats,
} from './proxy.ts'
export { errorTable, ProxyError, type ApiErrorCode, type ErrorCode, type ErrorRow, type ExchangeErrorCode } from './core/errors.ts'
export { limitTable, poolTable, timeoutTable } from './core/options.ts'
export type {
  ForwardedMode,
  HalfClosedClients,
  Limits,
  PoolLimits,
  ProxyConfig,
  ProxyOptions,
  SocketAccess,
  Timeouts,
} from './core/options.ts'
export type { ExchangeSummary } from './observe/exchange-summary.ts'
export type { Logger } from './observe/logger.ts'
export type { PoolStats } from './upstream/pool.ts'
export { EmbeddedOrigin } from './origin/embedded-origin.ts'
export * from '../native-free-parser/index.ts'
