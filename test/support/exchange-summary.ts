/** Summaries of exchanges that never were, for what is made from summaries. */
import type { ExchangeSummary } from '../../lib/observe/exchange-summary.ts'

/** A GET that went well, but for what is given. */
export function summaryOf(given: Partial<ExchangeSummary>): ExchangeSummary {
  return {
    id: 'k3f9-1a2b',
    startedAt: Date.UTC(2024, 1, 29, 12, 34, 56, 7),
    client: '192.0.2.7:53211',
    method: 'GET',
    target: '/a?b=c',
    version: '1.1',
    status: 200,
    bytesIn: 83,
    bytesOut: 1_500,
    upstream: '127.0.0.1:3000',
    upstreamConnection: 17,
    reused: true,
    retries: 0,
    headMs: 0.1234,
    upstreamMs: 0.0345678,
    responseMs: 1.25,
    totalMs: 2,
    termination: '--',
    error: '',
    rule: '',
    tunnel: false,
    route: '',
    listener: '',
    ...given,
  }
}
