/** What a file turns on is counted where an operator looks for it: rate limits and copies, in one process and as the sum of several. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { readMetrics } from '../support/admin-client.ts'
import { NodeOrigin } from '../support/node-origin.ts'
import { until } from '../support/patience.ts'
import { get, RawClient } from '../support/raw-client.ts'
import { RunningProxy } from '../support/running-command.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

for (const workers of [1, 2]) {
  test(`decisions about rates and copies of requests are in the metrics, with ${workers} ${workers === 1 ? 'process' : 'workers'}`, async () => {
    using folder = new TemporaryFolder()
    await using origin = await NodeOrigin.start((_, response) => response.end('hello'))
    let copies = 0
    await using shadow = await NodeOrigin.start((_, response) => {
      copies++
      response.end('a copy')
    })
    const file = folder.file('eproxy.json')
    writeFileSync(
      file,
      JSON.stringify({
        upstreams: { app: [origin.address], shadow: [shadow.address] },
        routes: [{ upstream: 'app', rateLimits: 'few', mirror: { upstream: 'shadow', share: 1 } }],
        rateLimits: { few: { requests: 4, per: '1h' } },
      }),
    )
    await using proxy = await RunningProxy.start(['--config', file, '--workers', String(workers), '--admin', '127.0.0.1:0'])
    const admin = / on (127\.0\.0\.1:[0-9]+)"/.exec(await proxy.child.said(/admin listener on/))?.[1] ?? ''
    const seen = { allowed: 0, limited: 0 }
    for (let connection = 0; connection < 4; connection++) {
      const client = await RawClient.connect(`127.0.0.1:${proxy.port}`)
      for (let i = 0; i < 5; i++) seen[(await client.exchange(get('/'))).status === 200 ? 'allowed' : 'limited']++
      client.destroy()
    }
    assert.ok(seen.allowed > 0 && seen.limited > 0, JSON.stringify(seen))

    await until(
      () => copies === seen.allowed,
      () => `${seen.allowed} copies, of which there are ${copies}`,
    )
    const metrics = await readMetrics(admin)
    assert.deepEqual(
      {
        allowed: metrics.get('eproxy_ratelimit_total{rule="few",decision="allowed",source="local"}'),
        limited: metrics.get('eproxy_ratelimit_total{rule="few",decision="limited",source="local"}'),
        copies: metrics.get('eproxy_mirror_copies_total{upstream="shadow",result="sent"}'),
        dropped: metrics.get('eproxy_mirror_copies_total{upstream="shadow",result="dropped"}'),
        stale: metrics.get('eproxy_retries_total{upstream="app",reason="stale"}'),
        poolStale: metrics.get('eproxy_pool_stale_total{upstream="app"}'),
      },
      { ...seen, copies, dropped: 0, stale: 0, poolStale: 0 },
    )
  })
}
