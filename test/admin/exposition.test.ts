import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { renderMetrics } from '../../lib/admin/exposition.ts'
import { metricTable, timeoutPhases, type MetricSource } from '../../lib/admin/metric-table.ts'
import { zeroDesyncCounts } from '../../lib/core/desync.ts'
import { errorTable } from '../../lib/core/errors.ts'
import { Counters } from '../../lib/observe/counters.ts'
import { noStats } from '../../lib/workers/group-stats.ts'
import { isMissing, runCommand } from '../support/program.ts'
import { unusedServer } from '../support/server-stats.ts'

const rateLimits = {
  'per-client': { allowed: { local: 4, shared: 0 }, limited: { local: 0, shared: 1 }, unreachable: { local: 0, shared: 0 } },
}
const server = { ...unusedServer, idle: 1, busy: 2, connecting: 0, waiting: 3, isQuarantined: false, desync: zeroDesyncCounts() }

function sourceOf(counters: Counters, more: Partial<MetricSource> = {}): MetricSource {
  const total = { ...noStats, counters: counters.figures, rateLimits, upstreams: { 'shop/10.0.0.1:80': server } }
  return {
    stats: { total, workers: [], crashesTotal: 0, reloadsTotal: 0 },
    version: '1.2.3',
    startedAt: 5_000,
    isReady: true,
    isDraining: false,
    reloads: { succeeded: 1, failed: 2, isLastGood: false },
    ...more,
  }
}

function countSomething(): Counters {
  const counters = new Counters()
  counters.countExchange(counters.route('shop'), 200, '--', '', 10, 20, 1, 2, 3, 6)
  counters.countExchange(counters.route('evil "route"\\\n} 1'), 504, 'sH', 'ERR_EPROXY_RESPONSE_HEAD_TIMEOUT', 10, 20, 1, 2, -1, 70_000)
  counters.countViolation('H1-HOST-MISSING', 'client', 'reject')
  counters.countConnection('client', 'accepted')
  counters.loopLag.count(3)
  return counters
}

test('what was counted stands under the names that were promised', async () => {
  const text = await renderMetrics(sourceOf(countSomething()))
  for (const line of [
    'eproxy_requests_total{route="shop",code_class="2xx"} 1',
    'eproxy_terminations_total{code="--"} 1',
    'eproxy_terminations_total{code="sH"} 1',
    'eproxy_errors_total{error="ERR_EPROXY_RESPONSE_HEAD_TIMEOUT"} 1',
    'eproxy_timeouts_total{phase="responseHead"} 1',
    'eproxy_rule_violations_total{rule="H1-HOST-MISSING",side="client",action="reject"} 1',
    'eproxy_ratelimit_total{rule="per-client",decision="limited",source="shared"} 1',
    'eproxy_bytes_total{side="client",direction="out"} 40',
    'eproxy_connections_total{side="client",result="accepted"} 1',
    'eproxy_upstream_up{upstream="shop",server="10.0.0.1:80"} 1',
    'eproxy_request_duration_seconds_bucket{le="0.01"} 1',
    'eproxy_request_duration_seconds_bucket{le="+Inf"} 2',
    'eproxy_request_duration_seconds_sum 70.006',
    'eproxy_config_reloads_total{result="bad"} 2',
    'eproxy_config_last_reload_success 0',
  ])
    assert.ok(text.split('\n').includes(line), `${line} in\n${text}`)
})

test('a name from a configuration cannot make a sample of its own', async () => {
  const text = await renderMetrics(sourceOf(countSomething()))
  assert.ok(text.includes('eproxy_requests_total{route="evil \\"route\\"\\\\\\n} 1",code_class="5xx"} 1'))
})

test('every timeout of an exchange has its phase', () => {
  const timeouts = Object.keys(errorTable).filter((code) => /_TIMEOUT$|_IDLE$|_STALLED$|_RATE$|_HALF_CLOSED$/.test(code))
  assert.deepEqual(Object.keys(timeoutPhases).toSorted(), timeouts.toSorted())
})

test('every metric is named as Prometheus advises: a counter ends in _total, and a unit is a base unit', () => {
  for (const [name, { type }] of Object.entries(metricTable)) {
    assert.match(name, /^eproxy_[a-z_]+$/)
    assert.equal(type === 'counter', name.endsWith('_total'), name)
    assert.doesNotMatch(name, /_(?:ms|milliseconds|kb)(?:_|$)/)
  }
})

describe('promtool', { skip: isMissing('promtool') }, () => {
  test("Prometheus's own parser takes every line and has no advice", async () => {
    const text = await renderMetrics(sourceOf(countSomething()))
    const { code, stdout, stderr } = await runCommand('promtool', ['check', 'metrics'], [text])
    assert.equal(code, 0, `${stdout.toString()}${stderr}`)
    assert.equal(`${stdout.toString()}${stderr}`, '')
  })
})
