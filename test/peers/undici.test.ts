/** undici as the client: fetch, request, stream and pipeline, requests in a pipeline, trailers, upgrades and aborts. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable, Writable } from 'node:stream'
import { pipeline as pump } from 'node:stream/promises'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { Client, fetch, Pool, type Dispatcher } from 'undici'
import { NodeOrigin } from '../support/node-origin.ts'
import { describePayload, makeBlocks, receive } from '../support/payload.ts'
import { ProxyFront } from '../support/proxy-front.ts'

const mib = 1_048_576

describe('undici', () => {
  test('requests in a pipeline of four get their own answers, in order, on one connection', async () => {
    await using origin = await NodeOrigin.start((request, response) => {
      // The first of each four takes longest: answers that overtook each other would meet the wrong request.
      const turns = 4 - (Number(request.url?.slice(1)) % 4)
      const answerLater = (left: number): void => void (left === 0 ? response.end(request.url) : setImmediate(answerLater, left - 1))
      answerLater(turns)
    })
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    await using client = closing(new Client(front.url, { pipelining: 4 }))
    const order: number[] = []
    await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        const { statusCode, body } = await client.request({ method: 'GET', path: `/${index}` })
        assert.deepEqual([statusCode, await body.text()], [200, `/${index}`])
        order.push(index)
      }),
    )
    assert.deepEqual(
      order,
      Array.from({ length: 60 }, (_, index) => index),
    )
    assert.equal(front.proxy.stats.connectionsTotal, 1)
    assert.equal(origin.requests, 60)
  })

  test('a pool of four connections with four requests each loses none', async () => {
    await using origin = await NodeOrigin.start((request, response) => response.end(request.url))
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    await using pool = closing(new Pool(front.url, { connections: 4, pipelining: 4 }))
    await Promise.all(
      Array.from({ length: 400 }, async (_, index) => {
        const { body } = await pool.request({ method: 'GET', path: `/${index}` })
        assert.equal(await body.text(), `/${index}`)
      }),
    )
    assert.ok(front.proxy.stats.connectionsTotal <= 4)
    assert.ok(origin.connections <= 4, `${origin.connections} connections to the origin for 400 requests`)
  })

  test('fetch sends a stream and reads a stream', async () => {
    const bytes = 4 * mib + 3
    await using origin = await NodeOrigin.start((request, response) => void pump(request, response))
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    await using client = closing(new Client(front.url))
    const response = await fetch(front.url, {
      method: 'POST',
      body: Readable.toWeb(Readable.from(makeBlocks(bytes))),
      duplex: 'half',
      dispatcher: client,
    })
    assert.equal(response.status, 200)
    assert.deepEqual(await receive(response.body!), describePayload(bytes))
  })

  test('fetch follows a redirect and keeps a cookie apart from another', async () => {
    await using origin = await NodeOrigin.start((request, response) => {
      if (request.url === '/from') response.writeHead(302, { location: '/to' }).end()
      else response.writeHead(200, { 'set-cookie': ['a=1', 'b=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT'] }).end('there')
    })
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    await using client = closing(new Client(front.url))
    const response = await fetch(`${front.url}/from`, { dispatcher: client })
    assert.deepEqual([response.status, response.url, await response.text()], [200, `${front.url}/to`, 'there'])
    assert.deepEqual(response.headers.getSetCookie(), ['a=1', 'b=2; Expires=Wed, 21 Oct 2037 07:28:00 GMT'])
  })

  test('pipeline sends and receives at the same time', async () => {
    const bytes = 8 * mib
    await using origin = await NodeOrigin.start((request, response) => void pump(request, response))
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    await using client = closing(new Client(front.url))
    const echo = client.pipeline({ method: 'POST', path: '/' }, ({ statusCode, body }) => {
      assert.equal(statusCode, 200)
      return body
    })
    const [received] = await Promise.all([receive(echo), pump(Readable.from(makeBlocks(bytes)), echo, { end: true })])
    assert.deepEqual(received, describePayload(bytes))
  })

  test('stream writes the body where it is told to', async () => {
    const bytes = 2 * mib
    await using origin = await NodeOrigin.start((_request, response) => void pump(Readable.from(makeBlocks(bytes)), response))
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    await using client = closing(new Client(front.url))
    const chunks: Buffer[] = []
    await client.stream({ method: 'GET', path: '/' }, ({ statusCode }) => {
      assert.equal(statusCode, 200)
      return new Writable({
        write: (chunk: Buffer, _encoding, done) => {
          chunks.push(chunk)
          done()
        },
      })
    })
    assert.deepEqual(await receive(chunks), describePayload(bytes))
  })

  test('trailers of a response arrive', async () => {
    await using origin = await NodeOrigin.start((_request, response) => {
      response.writeHead(200, { trailer: 'x-sum' }).write('body')
      response.addTrailers({ 'x-sum': '4' })
      response.end()
    })
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    await using client = closing(new Client(front.url))
    const { body, trailers } = await client.request({ method: 'GET', path: '/' })
    assert.equal(await body.text(), 'body')
    assert.equal(trailers['x-sum'], '4')
  })

  test('an upgrade gives a connection on which every byte comes back', async () => {
    await using front = await ProxyFront.start({})
    await using client = closing(new Client(front.url))
    const { socket } = await client.upgrade({ path: '/', protocol: 'echo' })
    socket.end('bytes of another protocol')
    assert.equal(await text(socket), 'bytes of another protocol')
    const [summary] = await front.ended(1)
    assert.deepEqual([summary?.status, summary?.tunnel, summary?.termination], [101, true, '--'])
  })

  test('a request that the client gives up is given up at the origin, too', async () => {
    await using origin = await NodeOrigin.start(() => undefined)
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    await using client = closing(new Client(front.url))
    const asked = once(origin.server, 'request') as Promise<[IncomingMessage, ServerResponse]>
    const abort = new AbortController()
    const answered = client.request({ method: 'GET', path: '/', signal: abort.signal })
    const [, response] = await asked
    const gone = once(response, 'close')
    abort.abort()
    await assert.rejects(answered, { name: 'AbortError' })
    await gone
    const [summary] = await front.ended(1)
    assert.deepEqual([summary?.status, summary?.error], [0, 'ERR_EPROXY_CLIENT_ABORTED'])
  })
})

function closing<D extends Dispatcher>(dispatcher: D): D & AsyncDisposable {
  return Object.assign(dispatcher, { [Symbol.asyncDispose]: () => dispatcher.destroy() })
}
