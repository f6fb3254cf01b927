/**
 * How the proxies of the soak are set up. Deadlines are short enough that every one of them passes many times in two minutes, and long enough
 * that a good client meets none even on a machine that is busy with something else.
 */
import type { ProxyOptions } from '../../lib/index.ts'
import type { Door } from './crowd-messages.ts'

export const narrowConnections = 48

const timeouts = {
  firstByte: 5_000,
  requestHead: 6_000,
  keepAlive: 8_000,
  requestBodyIdle: 6_000,
  clientWriteIdle: 5_000,
  queue: 10_000,
  responseHead: 20_000,
  responseBodyIdle: 6_000,
  upstreamWriteIdle: 5_000,
  upstreamKeepAlive: 1_500,
  upstreamMaxAge: 20_000,
  tunnelIdle: 5_000,
  halfClose: 2_000,
  linger: 1_000,
  minRateGrace: 3_000,
  serverDown: 500,
} as const satisfies ProxyOptions['timeouts']

export const proxyOptions: Readonly<Record<Door, ProxyOptions>> = {
  /** Good clients and raiders, one good origin. */
  front: { timeouts, limits: { connections: 10_000 }, pool: { connections: 512, waiting: 1_024 } },
  /** Raiders and visitors, rough origins; the pools are small enough to be waited for. */
  rough: {
    timeouts: { ...timeouts, queue: 2_000, responseHead: 3_000, responseBodyIdle: 2_000, upstreamWriteIdle: 2_000 },
    limits: { connections: 10_000 },
    pool: { connections: 96, waiting: 192 },
  },
  narrow: { timeouts, limits: { connections: narrowConnections } },
}
