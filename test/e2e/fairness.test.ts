/**
 * One client cannot keep the proxy to itself. What is asserted is an order of events: a good client is served while a greedy one, who
 * was there first and has sent everything, is not done yet.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'node:test'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get } from '../support/raw-client.ts'
import { answering, answeringWith, ScriptedOrigin } from '../support/scripted-origin.ts'

const megabyte = 1_048_576

test('5 000 pipelined requests are answered in order, and a client beside them is served in the meantime', async (t) => {
  const requests = 5_000
  const origin = await ScriptedOrigin.start(
    t,
    answeringWith((request, connection) => connection.respond(200, request.target)),
  )
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const greedy = await proxy.client()
  const good = await proxy.client()
  let flood = ''
  for (let i = 0; i < requests; i++) flood += get(`/${i}`)
  greedy.send(flood)
  let goodAnswers = 0
  const beside = (async () => {
    for (; goodAnswers < 20; goodAnswers++) assert.equal((await good.exchange(get('/good'))).body, '/good')
  })()
  for (let i = 0; i < requests; i++) {
    const text = await greedy.until(/\r\n\r\n\/[0-9]+(?=HTTP|$)/)
    assert.ok(text.endsWith(`\r\n\r\n/${i}`), `answer ${i} is ${JSON.stringify(text.slice(-20))}`)
    if (i === requests / 2) assert.equal(goodAnswers, 20, 'the good client had to wait')
  }
  await beside
  assert.equal(proxy.proxy.stats.connections, 2)
})

test('5 000 pipelined requests that the proxy answers by itself leave others their turn', async (t) => {
  const requests = 5_000
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const greedy = await proxy.client()
  const good = await proxy.client()
  const request = 'OPTIONS * HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\n\r\n'
  greedy.send(request.repeat(requests))
  const beside = good.exchange(get())
  let answers = 0
  let answersBefore = -1
  const goodAnswer = beside.then(({ status }) => {
    assert.equal(status, 200)
    answersBefore = proxy.summaries.filter(({ method }) => method === 'OPTIONS').length
  })
  for (; answers < requests; answers++) assert.equal((await greedy.response()).status, 204)
  await goodAnswer
  assert.ok(answersBefore < requests, 'the good client came last')
})

test('turnMessages: 1 changes nothing but the order of work', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], limits: { turnMessages: 1 } })
  const client = await proxy.client()
  client.send(get().repeat(100))
  for (let i = 0; i < 100; i++) assert.equal((await client.response()).status, 200)
  client.send('OPTIONS * HTTP/1.1\r\nHost: test\r\nMax-Forwards: 0\r\n\r\n'.repeat(100))
  for (let i = 0; i < 100; i++) assert.equal((await client.response()).status, 204)
})

test('a client that sends all it can does not keep a client beside it waiting', async (t) => {
  const bytes = 128 * megabyte
  const body = Buffer.alloc(bytes, 'some bytes')
  let digest = ''
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    for (;;) {
      const { target } = await connection.head()
      if (target === '/flood') digest = await connection.digest(bytes)
      connection.respond(200, target)
    }
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const greedy = await proxy.client()
  const good = await proxy.client()
  greedy.send(`POST /flood HTTP/1.1\r\nHost: test\r\nContent-Length: ${bytes}\r\n\r\n`)
  let isDone = false
  const flood = greedy
    .pour(body)
    .then(() => greedy.response())
    .then((response) => {
      isDone = true
      return response
    })
  for (let i = 0; i < 20; i++) assert.equal((await good.exchange(get('/good'))).body, '/good')
  assert.equal(isDone, false, 'the flood was over first')
  assert.equal((await flood).body, '/flood')
  assert.equal(digest, createHash('sha256').update(body).digest('hex'))
})

test('a server that sends all it can does not keep a client beside it waiting', async (t) => {
  const bytes = 128 * megabyte
  const body = Buffer.alloc(bytes, 'some bytes')
  const origin = await ScriptedOrigin.start(t, async (connection) => {
    for (;;) {
      const { target } = await connection.head()
      if (target !== '/flood') connection.respond(200, target)
      else {
        connection.send(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`)
        await connection.pour(body)
      }
    }
  })
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address], limits: { turnBytes: 65_536 } })
  const greedy = await proxy.client()
  const good = await proxy.client()
  greedy.send(get('/flood'))
  await greedy.until('\r\n\r\n')
  let isDone = false
  const flood = greedy.digest(bytes).then((digest) => {
    isDone = true
    return digest
  })
  for (let i = 0; i < 20; i++) assert.equal((await good.exchange(get('/good'))).body, '/good')
  assert.equal(isDone, false, 'the flood was over first')
  assert.equal(await flood, createHash('sha256').update(body).digest('hex'))
})

test('a client that pipelines and never reads is held back, and holds nobody else back', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering('x'.repeat(100_000)))
  const proxy = await ProxyUnderTest.start(t, { upstreams: [origin.address] })
  const deaf = await proxy.client()
  deaf.pause()
  const requests = 2_000
  deaf.send(get('/deaf').repeat(requests))
  const good = await proxy.client()
  for (let i = 0; i < 200; i++) assert.equal((await good.exchange(get('/good'))).body.length, 100_000)
  // The kernel takes some; the rest waits in the client's own buffers, not in the proxy's.
  const begun = origin.heads.filter((head) => head.startsWith('GET /deaf')).length
  assert.ok(begun < requests / 4, `${begun} of ${requests} were begun`)
  deaf.resume()
  await deaf.digest(requests * 100_000)
})
