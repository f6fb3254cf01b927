/** The metrics and the access log are two accounts of the same exchanges: after mixed traffic they agree line for line. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'node:test'
import { readMetrics } from '../support/admin-client.ts'
import { NodeOrigin } from '../support/node-origin.ts'
import { until } from '../support/patience.ts'
import { get, RawClient, withBody } from '../support/raw-client.ts'
import { RunningProxy } from '../support/running-command.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

interface AccessLine {
  readonly status: number
  readonly in: number
  readonly out: number
  readonly retries?: number
  readonly term: string
  readonly error?: string
  readonly rule?: string
  readonly t_head: number
  readonly t_upstream: number
  readonly t_response: number
  readonly t_total: number
}

for (const workers of [1, 2]) {
  test(`metrics agree with the access log line for line, with ${workers} ${workers === 1 ? 'process' : 'workers'}`, async () => {
    using folder = new TemporaryFolder()
    await using origin = await NodeOrigin.start(answer)
    const log = folder.file('access.log')
    await using proxy = await RunningProxy.start([
      ...['--workers', String(workers), '--upstream', origin.address, '--access-log', log, '--admin', '127.0.0.1:0'],
      ...['--timeout-response-head', '300ms', '--timeout-linger', '50ms'],
    ])
    const admin = / on (127\.0\.0\.1:[0-9]+)"/.exec(await proxy.child.said(/admin listener on/))?.[1] ?? ''
    const count = await sendTraffic(`127.0.0.1:${proxy.port}`)
    const readLines = (): AccessLine[] =>
      readFileSync(log, 'utf8')
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as AccessLine)
    await until(
      () => readLines().length >= count,
      () => `${count} lines, of which there are ${readLines().length}`,
    )
    const lines = readLines()
    const metrics = await readMetrics(admin)
    const sumOf = (prefix: string): number =>
      [...metrics].reduce((sum, [name, value]) => (name === prefix || name.startsWith(`${prefix}{`) ? sum + value : sum), 0)

    // On a machine that stands still for a while several ends are one: what a server says too late is a timeout, too.
    const ends = new Set(lines.map(({ term }) => term))
    assert.ok(ends.size >= 3, `the traffic is mixed: ${[...ends].join(' ')}`)
    assert.deepEqual(
      readLabel(metrics, 'eproxy_requests_total', 'code_class'),
      countBy(lines, ({ status }) => (status === 0 ? 'none' : `${Math.floor(status / 100)}xx`)),
    )
    assert.deepEqual(
      readLabel(metrics, 'eproxy_terminations_total', 'code'),
      countBy(lines, ({ term }) => term),
    )
    assert.deepEqual(
      readLabel(metrics, 'eproxy_errors_total', 'error'),
      countBy(lines, ({ error }) => error),
    )
    assert.deepEqual(
      readLabel(metrics, 'eproxy_rule_violations_total', 'rule'),
      countBy(lines, ({ rule }) => rule),
    )
    assert.equal(
      metrics.get('eproxy_bytes_total{side="client",direction="in"}'),
      sumBy(lines, (line) => line.in),
    )
    assert.equal(
      metrics.get('eproxy_bytes_total{side="client",direction="out"}'),
      sumBy(lines, (line) => line.out),
    )
    assert.equal(
      sumOf('eproxy_retries_total'),
      sumBy(lines, ({ retries = 0 }) => retries),
    )
    for (const [name, read] of [
      ['eproxy_request_duration_seconds', (line: AccessLine) => line.t_total],
      ['eproxy_phase_duration_seconds{phase="head"}', (line: AccessLine) => line.t_head],
      ['eproxy_phase_duration_seconds{phase="upstream"}', (line: AccessLine) => line.t_upstream],
      ['eproxy_phase_duration_seconds{phase="response"}', (line: AccessLine) => line.t_response],
    ] as const) {
      const [, base = '', labels = ''] = /^([a-z_]+)(.*)$/.exec(name) ?? []
      const durations = lines.map(read).filter((ms) => ms >= 0)
      assert.equal(metrics.get(`${base}_count${labels}`), durations.length, name)
      // A line has whole microseconds.
      const sumMs = (metrics.get(`${base}_sum${labels}`) ?? 0) * 1_000
      assert.ok(Math.abs(sumMs - sumBy(durations, (ms) => ms)) <= 0.001 * durations.length, name)
    }
  })
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const [, kind] = (request.url ?? '').split('/')
  request.resume()
  switch (kind) {
    case 'missing':
      return void response.writeHead(404).end('no')
    case 'moved':
      return void response.writeHead(302, { location: '/' }).end()
    case 'never':
      return
    case 'cut':
      response.writeHead(200, { 'content-length': 1_000 }).write('half')
      return void setImmediate(() => request.socket.destroy())
    case 'nonsense':
      return void request.socket.end('HTTP/1.1 2000 OK\r\n\r\n')
    default:
      return void response.end('x'.repeat(500))
  }
}

/** Good and bad requests; resolves with how many exchanges they are, when all of them have ended for the client. */
async function sendTraffic(address: string): Promise<number> {
  const requests = [
    ...Array.from({ length: 12 }, () => get('/')),
    ...Array.from({ length: 5 }, () => withBody('POST', 'x'.repeat(3_000))),
    ...Array.from({ length: 4 }, () => get('/missing')),
    ...Array.from({ length: 3 }, () => get('/moved')),
    ...Array.from({ length: 2 }, () => get('/never')),
    ...Array.from({ length: 3 }, () => get('/cut')),
    ...Array.from({ length: 2 }, () => get('/nonsense')),
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
    '\u0016\u0003\u0001\r\n\r\n',
  ]
  await Promise.all(
    requests.map(async (request) => {
      const client = await RawClient.connect(address)
      client.send(request)
      await client.response().catch(() => {})
      client.destroy()
    }),
  )
  // One that goes away in the middle of its request, and a connection that carries several.
  const hasty = await RawClient.connect(address)
  hasty.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf')
  hasty.destroy()
  const steady = await RawClient.connect(address)
  for (let index = 0; index < 4; index++) await steady.exchange(get('/'))
  steady.destroy()
  return requests.length + 1 + 4
}

function countBy(lines: readonly AccessLine[], read: (line: AccessLine) => string | undefined): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const line of lines) {
    const name = read(line)
    if (name !== undefined) counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}

function sumBy<T>(rows: readonly T[], read: (row: T) => number): number {
  return rows.reduce((sum, row) => sum + read(row), 0)
}

/** The samples of a metric, added up by one of their labels. */
function readLabel(metrics: ReadonlyMap<string, number>, metric: string, label: string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const [name, value] of metrics) {
    const found = name.startsWith(`${metric}{`) ? new RegExp(`[{,]${label}="([^"]*)"`).exec(name)?.[1] : undefined
    if (found !== undefined) counts[found] = (counts[found] ?? 0) + value
  }
  return counts
}
