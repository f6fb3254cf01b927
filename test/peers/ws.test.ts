/** ws on both sides: WebSocket through the proxy, from the handshake to the close code that the other side sees. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { WebSocket, WebSocketServer, type ServerOptions } from 'ws'
import { NodeOrigin } from '../support/node-origin.ts'
import { makePayload } from '../support/payload.ts'
import { ProxyFront } from '../support/proxy-front.ts'

const mib = 1_048_576

describe('WebSocket', () => {
  test('text and binary messages come back as they were sent', async () => {
    await using peers = await startPeers({})
    const client = await peers.connect()
    for (const message of ['hello', 'ünïcödé ✓', '', 'x'.repeat(70_000)]) {
      client.send(message)
      const [data, isBinary] = (await once(client, 'message')) as [Buffer, boolean]
      assert.deepEqual([data.toString(), isBinary], [message, false])
    }
    for (const bytes of [0, 1, 125, 126, 65_535, 65_536, mib]) {
      const payload = makePayload(bytes)
      client.send(payload)
      const [data, isBinary] = (await once(client, 'message')) as [Buffer, boolean]
      assert.ok(isBinary && data.equals(payload), `${bytes} bytes`)
    }
    client.close()
    await once(client, 'close')
    const [summary] = await peers.front.ended(1)
    assert.deepEqual([summary?.status, summary?.tunnel, summary?.error], [101, true, ''])
  })

  test('32 messages of 1 MiB, sent without waiting, come back in order', async () => {
    await using peers = await startPeers({})
    const client = await peers.connect()
    const payload = makePayload(mib)
    let received = 0
    const done = new Promise<void>((resolve, reject) => {
      client.on('message', (data: Buffer) => {
        if (data.readUInt32LE(8) !== received || !data.subarray(12).equals(payload.subarray(12)))
          reject(new Error(`message ${received} is wrong`))
        if (++received === 32) resolve()
      })
    })
    for (let index = 0; index < 32; index++) {
      const message = Buffer.from(payload)
      message.writeUInt32LE(index, 8)
      client.send(message)
    }
    await done
    client.close()
    await once(client, 'close')
  })

  test('compressed messages pass', async () => {
    await using peers = await startPeers({ perMessageDeflate: { threshold: 0 } })
    const client = await peers.connect()
    assert.match(client.extensions, /permessage-deflate/)
    const text = 'again '.repeat(100_000)
    client.send(text)
    const [data] = (await once(client, 'message')) as [Buffer]
    assert.equal(data.toString(), text)
    client.close()
    await once(client, 'close')
  })

  test('pings of either side are answered by the other', async () => {
    await using peers = await startPeers({})
    const client = await peers.connect()
    client.ping('from the client')
    const [pong] = (await once(client, 'pong')) as [Buffer]
    assert.equal(pong.toString(), 'from the client')
    const [server] = [...peers.server.clients]
    assert.ok(server !== undefined)
    server.ping('from the server')
    const [answer] = (await once(server, 'pong')) as [Buffer]
    assert.equal(answer.toString(), 'from the server')
    client.close()
    await once(client, 'close')
  })

  test('a close code and its reason reach the other side', async () => {
    await using peers = await startPeers({})
    const client = await peers.connect()
    const [server] = [...peers.server.clients]
    assert.ok(server !== undefined)
    const seen = once(server, 'close') as Promise<[number, Buffer]>
    client.close(4_001, 'enough')
    const [[code, reason]] = await Promise.all([seen, once(client, 'close')])
    assert.deepEqual([code, reason.toString()], [4_001, 'enough'])

    const other = await peers.connect()
    const closed = once(other, 'close') as Promise<[number, Buffer]>
    for (const socket of peers.server.clients) socket.close(1_013, 'come back later')
    const [otherCode, otherReason] = await closed
    assert.deepEqual([otherCode, otherReason.toString()], [1_013, 'come back later'])
    const summaries = await peers.front.ended(2)
    assert.deepEqual(
      summaries.map(({ error, termination }) => [error, termination]),
      [
        ['', '--'],
        ['', '--'],
      ],
    )
  })

  test('a side that vanishes is seen by the other as an abnormal closure', async () => {
    await using peers = await startPeers({})
    const client = await peers.connect()
    const [server] = [...peers.server.clients]
    assert.ok(server !== undefined)
    const seen = once(server, 'close') as Promise<[number]>
    client.terminate()
    assert.equal((await seen)[0], 1_006)

    const other = await peers.connect()
    const closed = once(other, 'close') as Promise<[number]>
    for (const socket of peers.server.clients) socket.terminate()
    assert.equal((await closed)[0], 1_006)
  })

  test('a refusal of the server reaches the client as a response', async () => {
    await using peers = await startPeers({ verifyClient: (_info, answer) => answer(false, 401, 'who are you', { 'x-why': 'no token' }) })
    const client = new WebSocket(peers.url)
    const [, response] = (await once(client, 'unexpected-response')) as [unknown, { statusCode: number; headers: Record<string, string> }]
    assert.deepEqual([response.statusCode, response.headers['x-why']], [401, 'no token'])
    // The client closes what it cannot use.
    client.on('error', () => undefined)
    client.terminate()
    const [summary] = await peers.front.ended(1)
    assert.deepEqual([summary?.status, summary?.tunnel], [401, false])
  })

  test('a subprotocol is agreed on, and a plain request beside it is answered', async () => {
    await using peers = await startPeers({ handleProtocols: (offered) => [...offered].at(-1) ?? false })
    const client = new WebSocket(peers.url, ['one', 'two'])
    await once(client, 'open')
    assert.equal(client.protocol, 'two')
    assert.equal(await (await fetch(peers.front.url)).text(), 'plain')
    client.close()
    await once(client, 'close')
  })

  test('fifty connections at a time carry their own messages', async () => {
    await using peers = await startPeers({})
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const client = await peers.connect()
        client.send(`message of ${index}`)
        const [data] = (await once(client, 'message')) as [Buffer]
        assert.equal(data.toString(), `message of ${index}`)
        client.close()
        await once(client, 'close')
      }),
    )
    assert.equal(peers.origin.connections, 50)
  })
})

interface Peers extends AsyncDisposable {
  readonly origin: NodeOrigin
  readonly front: ProxyFront
  readonly server: WebSocketServer
  readonly url: string
  connect(): Promise<WebSocket>
}

/** An echo server, and the proxy before it. */
async function startPeers(options: ServerOptions): Promise<Peers> {
  const origin = await NodeOrigin.start((_request, response) => response.end('plain'))
  const server = new WebSocketServer({ server: origin.server, maxPayload: 4 * mib, ...options })
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => socket.send(data as Buffer, { binary: isBinary }))
    socket.on('error', () => socket.terminate())
  })
  const front = await ProxyFront.start({ upstreams: [origin.address] })
  const url = `ws://127.0.0.1:${front.port}/`
  return {
    origin,
    front,
    server,
    url,
    connect: async () => {
      const client = new WebSocket(url)
      await once(client, 'open')
      return client
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of server.clients) socket.terminate()
      server.close()
      await front[Symbol.asyncDispose]()
      await origin[Symbol.asyncDispose]()
    },
  }
}
