/** What comes of a configuration: plain data for those who start and change the service. */
import type { ProxyOptions, Supervision } from '../core/options.ts'
import type { AccessLogSettings, AdminOptions, ServiceOptions } from '../core/service-options.ts'
import type { LogFormat, LogLevel } from '../observe/logger.ts'

export interface Configuration {
  readonly service: ServiceOptions
  /** Without `upstreams` and `service`. */
  readonly engine: Omit<ProxyOptions, 'upstreams' | 'service'>
  readonly workers: number | 'auto'
  readonly supervision: Supervision
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
  readonly accessLog: AccessLogSettings | undefined
  readonly admin: AdminOptions | undefined
  /** What is allowed, and probably not meant. */
  readonly warnings: readonly string[]
}
