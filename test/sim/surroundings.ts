/**
 * What the engine is given where there is no kernel: the part of its two environments that is the same in every simulated world. Each world says
 * what is its own, sockets above all.
 */
import { Spares } from '../../lib/core/spares.ts'
import type { DownstreamEnvironment } from '../../lib/downstream/environment.ts'
import { Exchange } from '../../lib/exchange/exchange.ts'
import { WriteBatch } from '../../lib/exchange/write-batch.ts'
import { BulkBuffers } from '../../lib/net/bulk-buffers.ts'
import { parserLimits, sparesMax } from '../../lib/policy/policy.ts'
import type { UpstreamEnvironment } from '../../lib/upstream/environment.ts'

/** Less than any body that a test sends in earnest: most pieces are buffers here, too, so that their ways are gone. */
const stringBytesMax = 24

type OwnOfUpstream = Pick<UpstreamEnvironment, 'config' | 'parserEngine' | 'wheel' | 'counters' | 'random' | 'connect'>

/** Names are known at once, nobody listens to what happens to servers, and a fault ends the test. */
export function surroundUpstream(own: OwnOfUpstream & Partial<UpstreamEnvironment>): UpstreamEnvironment {
  return {
    responseLimits: parserLimits(own.config.limits, 'response'),
    resolver: {
      lookupCached: (host) => [{ address: host, family: 4 }],
      resolve: (host) => Promise.resolve([{ address: host, family: 4 }]),
    },
    onDesync: () => {},
    onQuarantine: () => {},
    onServer: () => {},
    onBreaker: () => {},
    onFault: (error) => {
      throw error
    },
    ...own,
  }
}

type OwnOfDownstream = Pick<DownstreamEnvironment, 'policy' | 'wheel' | 'counters' | 'onExchangeEnd' | 'abandon'>

/** The proxy can be told to stop. */
export interface DownstreamSurroundings extends DownstreamEnvironment {
  isDraining: boolean
  closesIdle: boolean
}

export function surroundDownstream(own: OwnOfDownstream & Partial<DownstreamEnvironment>): DownstreamSurroundings {
  const environment: DownstreamSurroundings = {
    exchanges: new Spares(() => new Exchange(environment), sparesMax),
    requestBatch: new WriteBatch(new BulkBuffers(), stringBytesMax),
    responseBatch: new WriteBatch(new BulkBuffers(), stringBytesMax),
    instance: 'sim-',
    isDraining: false,
    closesIdle: false,
    httpDate: () => 'Sun, 06 Nov 1994 08:49:37 GMT',
    onRefusal: () => {},
    onSlowClient: () => {},
    onConnectionClosed: () => {},
    guard: (_connection, work) => work(),
    ...own,
  }
  return environment
}
