/**
 * How the proxies of the soak are set up. Where good clients go, deadlines are so long that they meet none even on a machine that is
 * busy with something else; elsewhere so short that each of them passes many times in two minutes.
 */
import type { ProxyOptions } from '../../lib/index.ts'
import type { Door } from './crowd-messages.ts'

export const narrowConnections = 48

/** A good client that gets no processor time for ten seconds is still served. */
const patient = {
  requestHead: 15_000,
  keepAlive: 30_000,
  requestBodyIdle: 15_000,
  clientWriteIdle: 15_000,
  queue: 20_000,
  connect: 15_000,
  responseHead: 30_000,
  responseBodyIdle: 30_000,
  upstreamWriteIdle: 30_000,
  upstreamKeepAlive: 1_500,
  upstreamMaxAge: 20_000,
  tunnelIdle: 30_000,
  halfClose: 15_000,
  linger: 1_000,
  minRateGrace: 10_000,
} as const satisfies ProxyOptions['timeouts']

const impatient = {
  firstByte: 3_000,
  requestHead: 4_000,
  keepAlive: 4_000,
  requestBodyIdle: 3_000,
  clientWriteIdle: 3_000,
  queue: 2_000,
  responseHead: 3_000,
  responseBodyIdle: 2_000,
  upstreamWriteIdle: 2_000,
  upstreamKeepAlive: 1_500,
  upstreamMaxAge: 20_000,
  tunnelIdle: 3_000,
  halfClose: 2_000,
  linger: 1_000,
  minRateGrace: 2_000,
  serverDown: 500,
} as const satisfies ProxyOptions['timeouts']

export const proxyOptions: Readonly<Record<Door, ProxyOptions>> = {
  /** Good clients and raiders, one good origin. */
  front: { timeouts: patient, limits: { connections: 10_000 }, pool: { connections: 512, waiting: 1_024 } },
  /** Raiders and visitors, rough origins; the pools are small enough to be waited for. */
  rough: {
    timeouts: impatient,
    limits: { connections: 10_000 },
    pool: { connections: 96, waiting: 192 },
    // Quarantines come and go, and the last one is over when everything has come to rest.
    desync: { quarantineAfter: 4, window: 1_000, quarantine: 1_500 },
  },
  narrow: { timeouts: impatient, limits: { connections: narrowConnections } },
}
