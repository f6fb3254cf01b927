/** The library: everything that may be used from outside. The parser alone is `eproxy/parser`. */
export { createProxy, type Proxy } from './proxy.ts'
export type { ProxyEvents } from './proxy/events.ts'
export type { CloseOptions, CreateProxyOptions, ListenOptions } from './proxy/options.ts'
export type { ProxyStats } from './proxy/stats.ts'
export {
  createProxyGroup,
  type ProxyGroup,
  type ProxyGroupChange,
  type ProxyGroupEvents,
  type ProxyGroupOptions,
} from './workers/proxy-group.ts'
export { GroupMember, type MemberHooks } from './workers/group-member.ts'
export type { GroupStats, WorkerStats } from './workers/group-stats.ts'
export { errorTable, ProxyError, type ApiErrorCode, type ErrorCode, type ErrorRow, type ExchangeErrorCode } from './core/errors.ts'
export { desyncTable, type DesyncCounts, type DesyncKind, type DesyncRow } from './core/desync.ts'
export { desyncLimitTable, limitTable, poolTable, supervisionTable, timeoutTable } from './core/options.ts'
export type {
  DesyncLimits,
  ForwardedMode,
  HalfClosedClients,
  Limits,
  PoolLimits,
  ProxyConfig,
  ProxyOptions,
  ReuseAfterBody,
  SocketAccess,
  Supervision,
  Timeouts,
} from './core/options.ts'
export type { RateLimitCounts } from './limit/rate-limit.ts'
export type { StoreState, StoreStats } from './limit/shared-store.ts'
export type { DesyncEvent, ExchangeIdentity, QuarantineEvent } from './observe/desync-event.ts'
export type { ExchangeLog, ExchangeSummary } from './observe/exchange-summary.ts'
export type { Logger } from './observe/logger.ts'
export type { BreakerEvent, BreakerLimit, ServerChange, ServerEvent } from './observe/server-event.ts'
export type { BalanceStats, UpstreamStats } from './upstream/group.ts'
export type { LastCheck } from './upstream/health-monitor.ts'
export type { AdminState, ServerState, ServerStats } from './upstream/server.ts'
export type { DesyncStats, PoolStats } from './upstream/pool.ts'
export { EmbeddedOrigin } from './origin/embedded-origin.ts'
export * from '../native-free-parser/index.ts'
