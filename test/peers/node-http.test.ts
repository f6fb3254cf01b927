/** node:http on both sides: keep-alive agents, bodies of any size in either framing, trailers, interim responses, clients that are slow. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, test } from 'node:test'
import { ClientAgent } from '../support/client-agent.ts'
import { exchange, open } from '../support/http-client.ts'
import { NodeOrigin } from '../support/node-origin.ts'
import { describePayload, makeBlocks, makePayload, receive } from '../support/payload.ts'
import { ProxyFront } from '../support/proxy-front.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

const mib = 1_048_576
const largeBytes = 64 * mib

describe('large bodies', () => {
  for (const framing of ['length', 'chunked'] as const) {
    const fields: http.OutgoingHttpHeaders = framing === 'length' ? { 'content-length': largeBytes } : {}

    test(`64 MiB arrive at the origin unchanged, framed by ${framing}`, async () => {
      await using origin = await NodeOrigin.start((request, response) => {
        void receive(request).then((received) => response.end(JSON.stringify({ ...received, framing: framingOf(request) })))
      })
      await using front = await ProxyFront.start({ upstreams: [origin.address] })
      const { status, body } = await exchange(front.url, { method: 'POST', headers: fields }, makeBlocks(largeBytes))
      assert.equal(status, 200)
      assert.deepEqual(JSON.parse(body.toString()), { ...describePayload(largeBytes), framing })
    })

    test(`64 MiB arrive at the client unchanged, framed by ${framing}`, async () => {
      await using origin = await NodeOrigin.start((_request, response) => {
        response.writeHead(200, fields)
        void pipeline(Readable.from(makeBlocks(largeBytes)), response)
      })
      await using front = await ProxyFront.start({ upstreams: [origin.address] })
      const response = await open(front.url)
      assert.equal(framingOf(response), framing)
      assert.deepEqual(await receive(response), describePayload(largeBytes))
      const [summary] = await front.ended(1)
      assert.equal(summary?.termination, '--')
      assert.ok(summary.bytesOut > largeBytes)
    })
  }

  test('bodies around the sizes of buffers come back unchanged', async () => {
    await using origin = await NodeOrigin.start((request, response) => void pipeline(request, response))
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    using client = new ClientAgent(1)
    for (const bytes of [0, 1, 2, 1_023, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 131_072, mib - 1, mib + 1]) {
      const payload = makePayload(bytes)
      const { status, body } = await exchange(front.url, { method: 'POST', agent: client.agent, headers: { 'content-length': bytes } }, [
        payload,
      ])
      assert.equal(status, 200)
      assert.ok(body.equals(payload), `${bytes} bytes`)
    }
    assert.equal(front.proxy.stats.connectionsTotal, 1)
  })
})

describe('keep-alive', () => {
  test('400 requests of 8 client connections use at most 8 connections to the origin', async () => {
    await using origin = await NodeOrigin.start((request, response) => response.end(request.url))
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    using client = new ClientAgent(8)
    await inParallel(8, 400, async (index) => {
      const { status, body } = await exchange(`${front.url}/${index}`, { agent: client.agent })
      assert.deepEqual([status, body.toString()], [200, `/${index}`])
    })
    assert.equal(origin.requests, 400)
    assert.equal(front.proxy.stats.connectionsTotal, 8)
    assert.ok(origin.connections <= 8, `${origin.connections} connections to the origin`)
  })

  test('clients that open a connection for each request share the connections to the origin', async () => {
    await using origin = await NodeOrigin.start((request, response) => response.end(request.url))
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    await inParallel(4, 200, async (index) => {
      const { status, headers } = await exchange(`${front.url}/${index}`, { agent: false })
      assert.deepEqual([status, headers.connection], [200, 'close'])
    })
    assert.equal(front.proxy.stats.connectionsTotal, 200)
    assert.ok(origin.connections <= 4, `${origin.connections} connections to the origin`)
  })

  test('an origin that closes after every response is asked on a new connection each time', async () => {
    await using origin = await NodeOrigin.start((request, response) => response.writeHead(200, { connection: 'close' }).end(request.url))
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    using client = new ClientAgent(2)
    await inParallel(2, 50, async (index) => {
      const { status, headers } = await exchange(`${front.url}/${index}`, { agent: client.agent })
      assert.deepEqual([status, headers.connection], [200, undefined])
    })
    assert.deepEqual([origin.connections, front.proxy.stats.connectionsTotal], [50, 2])
  })

  test('a limit of pool connections is kept under load', async () => {
    await using origin = await NodeOrigin.start((_request, response) => setImmediate(() => response.end('ok')))
    await using front = await ProxyFront.start({ upstreams: [origin.address], pool: { connections: 2 } })
    using client = new ClientAgent(16)
    await inParallel(16, 160, async () => assert.equal((await exchange(front.url, { agent: client.agent })).status, 200))
    assert.ok(origin.connections <= 2, `${origin.connections} connections to the origin`)
  })

  test('a client that is slow to read leaves the connection to the origin fit for the next request', async () => {
    await using origin = await NodeOrigin.start((request, response) => response.end(makePayload(Number(request.url?.slice(1)))))
    await using front = await ProxyFront.start({ upstreams: [origin.address], pool: { connections: 1 }, timeouts: { responseHead: 1_000 } })
    using folder = new TemporaryFolder()
    // A unix socket holds little, so that the last bytes of many of the responses find it full.
    const socketPath = folder.file('proxy.sock')
    await front.proxy.listen(`unix:${socketPath}`)
    using client = new ClientAgent(1)
    for (let bytes = mib; bytes < 2 * mib; bytes += 50_000) {
      const response = await open(`http://localhost/${bytes}`, { agent: client.agent, socketPath })
      assert.equal(response.statusCode, 200, `${bytes} bytes`)
      let received = 0
      for await (const chunk of response) {
        received += (chunk as Buffer).length
        // All others have a turn before the next read: the proxy always has more for this client than its socket takes.
        await new Promise((resolve) => setImmediate(resolve))
      }
      assert.equal(received, bytes)
    }
    assert.equal(origin.connections, 1)
  })
})

describe('messages', () => {
  test('answers without a body keep the connection in step', async () => {
    await using origin = await NodeOrigin.start((request, response) => {
      const status = Number(request.url?.slice(1))
      response.writeHead(status, status === 200 ? { 'content-length': 4 } : {}).end(status === 200 ? 'body' : undefined)
    })
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    using client = new ClientAgent(1)
    for (const [method, status, length] of [
      ['GET', 204, 0],
      ['HEAD', 200, 0],
      ['GET', 304, 0],
      ['HEAD', 204, 0],
      ['GET', 200, 4],
    ] as const) {
      const answer = await exchange(`${front.url}/${status}`, { method, agent: client.agent })
      assert.deepEqual([answer.status, answer.body.length], [status, length], `${method} ${status}`)
    }
    assert.deepEqual([origin.connections, front.proxy.stats.connectionsTotal], [1, 1])
  })

  test('trailers pass in both directions', async () => {
    await using origin = await NodeOrigin.start((request, response) => {
      void receive(request).then(({ bytes }) => {
        response.writeHead(200, { trailer: 'x-sum' })
        response.write(`${bytes} bytes`)
        response.addTrailers({ 'x-sum': String(request.trailers['x-check']) })
        response.end()
      })
    })
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    const request = http.request(front.url, { method: 'POST', headers: { trailer: 'x-check', te: 'trailers' } })
    request.write('body')
    request.addTrailers({ 'x-check': '42' })
    request.end()
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    assert.equal((await receive(response)).bytes, '4 bytes'.length)
    assert.deepEqual({ ...response.trailers }, { 'x-sum': '42' })
  })

  test('an early hint comes before the response', async () => {
    const link = '</style.css>; rel=preload; as=style'
    await using origin = await NodeOrigin.start((_request, response) => {
      response.writeEarlyHints({ link })
      response.end('ok')
    })
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    const request = http.get(front.url)
    const hinted = once(request, 'information') as Promise<[http.InformationEvent]>
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    const [hint] = await hinted
    assert.deepEqual([hint.statusCode, hint.headers['link']], [103, link])
    assert.equal((await receive(response)).bytes, 2)
  })

  test('a client that waits for 100 sends its body when the origin says so', async () => {
    await using origin = await NodeOrigin.start(() => assert.fail('checkContinue takes the request'))
    origin.server.on('checkContinue', (request: http.IncomingMessage, response: http.ServerResponse) => {
      response.writeContinue()
      void receive(request).then(({ bytes }) => response.end(String(bytes)))
    })
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    const request = http.request(front.url, { method: 'PUT', headers: { expect: '100-continue', 'content-length': mib } })
    request.flushHeaders()
    await once(request, 'continue')
    request.end(makePayload(mib))
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    const [body] = (await once(response, 'data')) as [Buffer]
    assert.equal(body.toString(), String(mib))
  })

  test('repeated fields, their order and their case arrive as they were sent', async () => {
    await using origin = await NodeOrigin.start((request, response) => {
      response.writeHead(200, ['Set-Cookie', 'a=1', 'X-Mixed-CASE', 'v', 'Set-Cookie', 'b=2'])
      response.end(JSON.stringify(request.rawHeaders))
    })
    await using front = await ProxyFront.start({ upstreams: [origin.address], via: '' })
    const request = http.get(front.url, { headers: ['Host', 'example.test', 'X-One', '1', 'x-ONE', '2', 'Accept', '*/*'] as never })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    assert.deepEqual(response.rawHeaders.slice(0, 6), ['Set-Cookie', 'a=1', 'X-Mixed-CASE', 'v', 'Set-Cookie', 'b=2'])
    const [body] = (await once(response, 'data')) as [Buffer]
    assert.deepEqual(JSON.parse(body.toString()), ['Host', 'example.test', 'X-One', '1', 'x-ONE', '2', 'Accept', '*/*'])
  })

  test('an origin that breaks off makes the client see a cut response, not a short one', async () => {
    await using origin = await NodeOrigin.start((_request, response) => {
      response.writeHead(200, { 'content-length': 2 * mib })
      response.write(makePayload(mib), () => response.destroy())
    })
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    await assert.rejects(exchange(front.url), { code: 'ECONNRESET' })
    const [summary] = await front.ended(1)
    assert.deepEqual([summary?.termination, summary?.error], ['SD', 'ERR_EPROXY_RESPONSE_INCOMPLETE'])
  })
})

function framingOf(message: http.IncomingMessage): 'length' | 'chunked' | 'none' {
  if (message.headers['transfer-encoding'] === 'chunked') return 'chunked'
  return message.headers['content-length'] === undefined ? 'none' : 'length'
}

/** Runs `work` for 0 … count - 1, so many at a time. */
async function inParallel(lanes: number, count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
}
