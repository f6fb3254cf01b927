import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { EventStream } from '../../lib/admin/event-stream.ts'
import { EventReader } from '../support/admin-client.ts'
import { until } from '../support/patience.ts'

test('a reader that takes nothing is let go with a bounded amount unread, and another one misses nothing', async (t) => {
  const responses: ServerResponse[] = []
  const counts: number[] = []
  const stream = new EventStream(2, (readers) => counts.push(readers))
  const server = createServer((_request, response) => {
    responses.push(response)
    stream.add(response, [])
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
  using sleeper = await EventReader.open(address)
  sleeper.pause()
  using reader = await EventReader.open(address)
  assert.ok(stream.isFull)

  const [asleep, awake] = responses
  const eventBytes = 65_536
  let sent = 0
  let unreadMost = 0
  // The kernel takes some megabytes for whoever reads none.
  for (; !asleep!.destroyed && sent < 1_000; sent++) {
    stream.send('live', { number: sent, padding: 'x'.repeat(eventBytes) })
    unreadMost = Math.max(unreadMost, asleep!.writableLength)
    await until(
      () => reader.events.length > sent,
      () => `event ${sent}`,
    )
  }
  assert.ok(asleep!.destroyed)
  assert.ok(unreadMost < 1_048_576 + 2 * eventBytes, String(unreadMost))
  assert.equal(awake!.destroyed, false)
  assert.deepEqual(
    reader.dataOf('live').map((data) => (data as { number: number }).number),
    Array.from({ length: sent }, (_, number) => number),
  )
  await until(
    () => stream.readers === 1,
    () => 'its place to be free',
  )
  assert.deepEqual(counts, [1, 2, 1])
  stream.close()
})
