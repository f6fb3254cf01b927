/** The load client, against origins that do well and badly: what it calls lost is lost, and nothing else. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Load, type Sent } from '../../../bench/operate/load.ts'
import { NodeOrigin } from '../../support/node-origin.ts'
import { until } from '../../support/patience.ts'
import type { RequestListener, ServerResponse } from 'node:http'

test('right answers are not lost, and every request is one of a kind', async () => {
  await using origin = await NodeOrigin.start(rightly)
  const sent = await loadOf(origin, 60)
  assert.deepEqual(
    sent.filter(({ loss }) => loss !== ''),
    [],
  )
  assert.equal(new Set(sent.map(({ check }) => check)).size, sent.length)
  assert.ok(sent.some(({ method }) => method === 'POST'))
  assert.ok(sent.every(({ hadBegun, dueAt, doneAt }) => hadBegun && doneAt >= dueAt))
})

test('an error status, an end without an answer, a cut answer and the answer of another are losses, each by its name', async () => {
  const misdeeds: readonly RequestListener[] = [
    (_, response) => response.writeHead(503).end(),
    (request) => request.socket.destroy(),
    (request, response) => {
      response.writeHead(200, { 'content-length': 100 })
      response.write('begun', () => request.socket.destroy())
    },
    (_, response) => response.writeHead(200, { 'x-check': 'another' }).end('{"url":"/api/items?check=another"}'),
  ]
  let count = 0
  await using origin = await NodeOrigin.start((request, response) => misdeeds[count++ % misdeeds.length]!(request, response))
  const sent = await loadOf(origin, 40)
  const seen = new Set(sent.map(({ loss }) => loss))
  for (const loss of ['status 503', 'ECONNRESET', 'cut: ECONNRESET', 'an answer that is not its own'])
    assert.ok(seen.has(loss), [...seen].join())
  assert.ok(sent.filter(({ loss }) => loss.startsWith('cut')).every(({ hadBegun }) => hadBegun))
  assert.ok(sent.filter(({ loss }) => loss === 'ECONNRESET').every(({ hadBegun }) => !hadBegun))
})

async function loadOf(origin: NodeOrigin, count: number): Promise<readonly Sent[]> {
  const load = new Load({ port: Number(origin.address.split(':')[1]), requestsPerSecond: 500, connectionsMax: 8 })
  load.start()
  await until(
    () => load.sent.length >= count,
    () => `${count} requests`,
  )
  await load.stop()
  return load.sent
}

/** As the servers of the example answer. */
const rightly: RequestListener = (request, response) => {
  let bodyBytes = 0
  request.on('data', (chunk: Buffer) => (bodyBytes += chunk.length))
  request.on('end', () => respond(request.url ?? '', bodyBytes, String(request.headers['x-check']), response))
}

function respond(url: string, bodyBytes: number, check: string, response: ServerResponse): void {
  const body = url.startsWith('/api/large') ? 'x'.repeat(65_536) : JSON.stringify({ url, bodyBytes })
  response.writeHead(200, { 'x-check': check, 'content-length': body.length }).end(body)
}
