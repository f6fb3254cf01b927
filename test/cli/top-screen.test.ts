import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StatusBoard, type StatusDocument } from '../../lib/admin/status.ts'
import { renderTop, type TopDocument } from '../../lib/cli/top-screen.ts'
import { paintAnsi, paintNothing } from '../../lib/conformance/paint.ts'
import { zeroDesyncCounts } from '../../lib/core/desync.ts'
import { Counters } from '../../lib/observe/counters.ts'
import { noStats, type WorkerStats } from '../../lib/workers/group-stats.ts'
import { unusedServer } from '../support/server-stats.ts'

const server = { ...unusedServer, idle: 1, busy: 2, connecting: 0, waiting: 3, isQuarantined: false, desync: zeroDesyncCounts() }
const circumstances = { version: '1.2.3', startedAt: 0, isDraining: false, reloads: { succeeded: 0, failed: 0, isLastGood: true } }
const wide = { columns: 160, rows: 100, worker: 0, paint: paintNothing }

function documentOf(counters: Counters, name = 'shop/10.0.0.1:80', workers: readonly WorkerStats[] = []): TopDocument {
  const board = new StatusBoard()
  const stats = { ...noStats, connections: 7, exchangesTotal: 5, counters: counters.figures, upstreams: { [name]: server } }
  const document: StatusDocument = board.add(60_000, { total: stats, workers, crashesTotal: 0, reloadsTotal: 0 }, circumstances)
  return { ...document, history: board.history }
}

function workerOf(number: number, exchanges: number): WorkerStats {
  return { number, pid: 1_000 + number, state: 'ready', ageMs: 0, stats: { ...noStats, exchangesTotal: exchanges, connections: exchanges } }
}

test('shows rates, connections, servers and how exchanges ended', () => {
  const counters = new Counters()
  counters.countExchange(counters.route('shop'), 200, '--', '', 1, 1, 1, 1, 1, 3)
  counters.countExchange(counters.route('shop'), 400, 'PR', 'ERR_EPROXY_REQUEST_REFUSED', 1, 1, -1, -1, -1, 3)
  counters.countViolation('H1-HOST-MISSING', 'client', 'reject')
  const text = renderTop(documentOf(counters), wide).join('\n')
  assert.match(text, /^eproxy 1\.2\.3 {2}not ready: not listening yet {2}up 60s$/m)
  assert.match(text, /client 7 {3}upstream 2 busy, 1 idle, 0 connecting, 3 requests wait/)
  assert.match(text, /^shop +10\.0\.0\.1:80 +up +1 +2 +3 /m)
  assert.match(text, /^ENDED +-- 1 {3}PR 1$/m)
  assert.match(text, /^RULES +H1-HOST-MISSING 1$/m)
})

test('no line is wider than the terminal, nor the screen longer', () => {
  const counters = new Counters()
  for (let index = 0; index < 50; index++) counters.countViolation(`H1-RULE-${index}`, 'client', 'reject')
  for (const columns of [20, 80, 200]) {
    const lines = renderTop(documentOf(counters), { ...wide, columns, rows: 9 })
    assert.ok(lines.length <= 9)
    for (const line of lines) assert.ok(line.length <= columns, line)
  }
})

test('no name gives orders to the terminal', () => {
  const text = renderTop(documentOf(new Counters(), 'evil\u001b[2J\r\n\u009b31m\u202e/10.0.0.1:80'), wide).join('\n')
  assert.doesNotMatch(text, /[^\n\x20-\x7e▁▂▃▄▅▆▇█–]/u)
  assert.match(text, /evil\?\[2J/)
})

test('colours are for terminals that want them', () => {
  const document = documentOf(new Counters())
  assert.ok(!renderTop(document, wide).join('').includes('\u001b'))
  assert.ok(
    renderTop(document, { ...wide, paint: paintAnsi })
      .join('')
      .includes('\u001b[32mup'),
  )
})

test('one worker is shown when it is chosen, and the sum when it has gone', () => {
  const document = documentOf(new Counters(), 'a/b:1', [workerOf(1, 3), workerOf(2, 4)])
  assert.match(renderTop(document, { ...wide, worker: 2 }).join('\n'), /worker 2 of 2[^]*client 4 /)
  assert.match(renderTop(document, wide).join('\n'), /2 workers together[^]*client 7 /)
  assert.match(renderTop(document, { ...wide, worker: 9 }).join('\n'), /2 workers together[^]*client 7 /)
})
