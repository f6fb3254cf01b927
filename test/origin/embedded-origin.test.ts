/**
 * The embedded origin, asked directly and through the proxy: the same requests, and the same answers. What the proxy changes on purpose
 * (Via, fields for one hop) is not part of these requests or is switched off.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { EmbeddedOrigin } from '../../lib/index.ts'
import { makePayload } from '../support/payload.ts'
import { ProxyFront } from '../support/proxy-front.ts'
import { get, RawClient, withBody, type RawResponse } from '../support/raw-client.ts'

/** What the origin tells of a request. */
interface Arrival {
  readonly method: string
  readonly target: string
  readonly version: string
  readonly fields: [name: string, value: string][]
  readonly rawHead: string
  readonly framing: string
  readonly contentLength: number | null
  readonly bodyBytes: number
  readonly bodySha256: string
  readonly trailers: [name: string, value: string][]
  readonly connection: number
  readonly request: number
}

interface Place extends AsyncDisposable {
  connect(): Promise<RawClient>
}

const ways: readonly { readonly way: string; readonly open: () => Promise<Place> }[] = [
  { way: 'directly', open: () => openDirectly() },
  { way: 'through the proxy', open: () => openThroughProxy() },
]

for (const { way, open } of ways) {
  describe(`the embedded origin, asked ${way}`, () => {
    test('tells every octet of the head that arrived', async () => {
      await using place = await open()
      const client = await place.connect()
      const head =
        'GET /a%20b?c=d HTTP/1.1\r\nHost: example.test:8080\r\nX-Octets: \x80\xe9\xff\r\nx-CASE: v\r\nX-Octets: second\r\nX-Empty: \r\n\r\n'
      const response = await client.exchange(head)
      assert.deepEqual([response.status, response.field('Content-Type')], [200, 'application/json'])
      const arrival = read(response)
      assert.equal(arrival.rawHead, head)
      assert.deepEqual([arrival.method, arrival.target, arrival.version], ['GET', '/a%20b?c=d', '1.1'])
      assert.deepEqual(arrival.fields, [
        ['Host', 'example.test:8080'],
        ['X-Octets', '\x80\xe9\xff'],
        ['x-CASE', 'v'],
        ['X-Octets', 'second'],
        ['X-Empty', ''],
      ])
      assert.deepEqual([arrival.framing, arrival.contentLength, arrival.bodyBytes, arrival.trailers], ['none', null, 0, []])
      assert.equal(arrival.bodySha256, sha256(Buffer.alloc(0)))
    })

    test('tells length and checksum of a body of known length', async () => {
      await using place = await open()
      const client = await place.connect()
      const body = makePayload(300_000)
      client.send(`POST / HTTP/1.1\r\nHost: test\r\nContent-Length: ${body.length}\r\n\r\n`)
      client.send(body)
      const arrival = read(await client.response())
      assert.deepEqual([arrival.framing, arrival.contentLength, arrival.bodyBytes], ['length', 300_000, 300_000])
      assert.equal(arrival.bodySha256, sha256(body))
    })

    test('tells a body in chunks and its trailers', async () => {
      await using place = await open()
      const client = await place.connect()
      const request =
        'PUT /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n' +
        '5\r\nhello\r\n1;ext=1\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 42\r\nX-Other: \xff\r\n\r\n'
      const arrival = read(await client.exchange(request))
      assert.deepEqual([arrival.framing, arrival.contentLength, arrival.bodyBytes], ['chunked', null, 11])
      assert.equal(arrival.bodySha256, sha256(Buffer.from('hello world')))
      assert.deepEqual(arrival.trailers, [
        ['X-Sum', '42'],
        ['X-Other', '\xff'],
      ])
    })

    test('answers HEAD with the length of the body that it leaves out', async () => {
      await using place = await open()
      const client = await place.connect()
      const head = await client.exchange('HEAD /same HTTP/1.1\r\nHost: test\r\n\r\n')
      assert.equal(head.status, 200)
      assert.match(head.field('Content-Length'), /^[1-9][0-9]+$/)
      assert.equal(read(await client.exchange(get('/same'))).method, 'GET')
    })

    test('counts the requests of a connection', async () => {
      await using place = await open()
      const client = await place.connect()
      const arrivals: Arrival[] = []
      for (let index = 0; index < 3; index++) arrivals.push(read(await client.exchange(get())))
      assert.deepEqual(
        arrivals.map(({ connection, request }) => [connection, request]),
        [
          [1, 1],
          [1, 2],
          [1, 3],
        ],
      )
    })

    test('answers requests that come at once, in order', async () => {
      await using place = await open()
      const client = await place.connect()
      client.send(get('/1') + withBody('POST', 'body', '', '/2') + get('/3'))
      const arrivals = [read(await client.response()), read(await client.response()), read(await client.response())]
      assert.deepEqual(
        arrivals.map(({ target, bodyBytes }) => [target, bodyBytes]),
        [
          ['/1', 0],
          ['/2', 4],
          ['/3', 0],
        ],
      )
    })

    test('echoes a body of known length with its type', async () => {
      await using place = await open()
      const client = await place.connect()
      const response = await client.exchange(withBody('POST', '\x00\xff body', 'Content-Type: text/x-test\r\n', '/echo'))
      assert.deepEqual([response.status, response.body], [200, '\x00\xff body'])
      assert.deepEqual([response.field('Content-Type'), response.field('Content-Length')], ['text/x-test', '7'])
      const empty = await client.exchange(withBody('POST', '', '', '/echo'))
      assert.deepEqual([empty.status, empty.body], [200, ''])
    })

    test('echoes a body in chunks, with and without trailers behind it', async () => {
      await using place = await open()
      const client = await place.connect()
      for (const trailers of ['', 'X-Sum: 42\r\n']) {
        const request = `POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n${trailers}\r\n`
        const response = await client.exchange(request)
        assert.deepEqual([response.field('Transfer-Encoding'), response.body], ['chunked', 'hello world'])
      }
      assert.equal(read(await client.exchange(get())).request, 3)
    })

    test('echoes while the body is still on its way', async () => {
      await using place = await open()
      const client = await place.connect()
      client.send('POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n')
      await client.until('\r\n\r\n')
      assert.equal(await client.until('first\r\n'), '5\r\nfirst\r\n')
      client.send('6\r\nsecond\r\n0\r\n\r\n')
      assert.equal(await client.until('0\r\n\r\n'), '6\r\nsecond\r\n0\r\n\r\n')
    })

    test('echoes 16 MiB to a client that sends and reads at the same time', async () => {
      await using place = await open()
      const client = await place.connect()
      const body = makePayload(16 * 1_048_576)
      client.send(`POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: ${body.length}\r\n\r\n`)
      const poured = client.pour(body)
      await client.until('\r\n\r\n')
      assert.equal(await client.digest(body.length), sha256(body))
      await poured
    })

    test('cuts an echo that turns out to be malformed', async () => {
      await using place = await open()
      const client = await place.connect()
      client.send('POST /echo HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n')
      await client.until('hello\r\n')
      client.send('zz\r\n')
      await client.ended()
      // Neither an end of the body, nor a second response in the middle of it.
      assert.equal(client.unread, '')
    })

    test('switches to a connection that returns every byte', async () => {
      await using place = await open()
      const client = await place.connect()
      const response = await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: echo\r\n'))
      assert.deepEqual([response.status, response.field('Upgrade')], [101, 'echo'])
      const bytes = randomBytes(100_000)
      client.send(bytes)
      assert.equal(await client.digest(bytes.length), sha256(bytes))
      client.send('GET / HTTP/1.1\r\n\r\n')
      assert.equal(await client.take(18), 'GET / HTTP/1.1\r\n\r\n')
      client.end()
      assert.equal(await client.ended(), 'fin')
    })

    test('does not switch to a protocol that it does not know', async () => {
      await using place = await open()
      const client = await place.connect()
      const response = await client.exchange(get('/', 'Connection: Upgrade\r\nUpgrade: other\r\n'))
      assert.equal(response.status, 200)
      assert.ok(read(response).fields.some(([name, value]) => name === 'Upgrade' && value === 'other'))
    })

    test('asks for a body that waits for it', async () => {
      await using place = await open()
      const client = await place.connect()
      client.send('POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n')
      assert.equal((await client.response()).status, 100)
      client.send('body')
      assert.equal(read(await client.response()).bodyBytes, 4)
    })

    test('answers a malformed request with 400 and closes', async () => {
      for (const [request, rule] of [
        ['GET / HTTP/1.1\r\n\r\n', 'H1-HOST-MISSING'],
        ['GET / HTTP/1.1\r\nHost: a\r\nX : v\r\n\r\n', 'H1-'],
        ['POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', 'H1-'],
        ['POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', 'H1-'],
      ] as const) {
        await using place = await open()
        const client = await place.connect()
        const refusal = await client.exchange(request)
        assert.deepEqual([refusal.status, refusal.field('Connection')], [400, 'close'], request)
        assert.ok(refusal.body.includes(rule), refusal.body)
        assert.equal(await client.ended(), 'fin')
      }
    })

    test('answers what came before a malformed request', async () => {
      await using place = await open()
      const client = await place.connect()
      client.send(get('/good') + 'GET / HTTP/9.9\r\n\r\n')
      assert.equal(read(await client.response()).target, '/good')
      const refusal = await client.response()
      assert.ok(refusal.status === 400 || refusal.status === 505, String(refusal.status))
      assert.equal(refusal.field('Connection'), 'close')
      assert.equal(await client.ended(), 'fin')
    })

    test('closes behind its answer when it is asked to', async () => {
      for (const request of [get('/', 'Connection: close\r\n'), 'GET / HTTP/1.0\r\nHost: test\r\n\r\n']) {
        await using place = await open()
        const client = await place.connect()
        const response = await client.exchange(request)
        assert.deepEqual([response.status, response.field('Connection')], [200, 'close'])
        assert.equal(await client.ended(), 'fin')
      }
    })
  })
}

async function openDirectly(): Promise<Place> {
  const origin = new EmbeddedOrigin()
  const address = await origin.listen()
  assert.ok(address.kind === 'tcp')
  const clients = new ClientSet(`${address.host}:${address.port}`)
  return {
    connect: () => clients.connect(),
    [Symbol.asyncDispose]: async () => {
      clients.destroy()
      origin.destroy()
    },
  }
}

async function openThroughProxy(): Promise<Place> {
  const front = await ProxyFront.start({ via: '' })
  const clients = new ClientSet(`127.0.0.1:${front.port}`)
  return {
    connect: () => clients.connect(),
    [Symbol.asyncDispose]: async () => {
      clients.destroy()
      await front[Symbol.asyncDispose]()
    },
  }
}

class ClientSet {
  readonly #address: string
  readonly #clients: RawClient[] = []

  constructor(address: string) {
    this.#address = address
  }

  async connect(): Promise<RawClient> {
    const client = await RawClient.connect(this.#address)
    this.#clients.push(client)
    return client
  }

  destroy(): void {
    for (const client of this.#clients) client.destroy()
  }
}

/** The JSON is UTF-8; what it tells is latin-1. */
function read({ status, body }: RawResponse): Arrival {
  assert.equal(status, 200, body)
  return JSON.parse(Buffer.from(body, 'latin1').toString()) as Arrival
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
