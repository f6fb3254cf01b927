/** curl as the client: the ways in which it sends a request, and what it makes of the answers. The origin tells what arrived. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { createGzip } from 'node:zlib'
import { NodeOrigin } from '../support/node-origin.ts'
import { makePayload, receive, type Received } from '../support/payload.ts'
import { isMissing, runCommand, type CommandResult } from '../support/program.ts'
import { ProxyFront } from '../support/proxy-front.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

const mib = 1_048_576

interface Arrival extends Received {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

describe('curl', { skip: isMissing('curl') }, () => {
  test('GET shows the head and the body of the origin', async () => {
    await using peers = await startPeers()
    const { stdout } = await curl('-i', '-H', 'X-One: 1', `${peers.front.url}/a?b=c`)
    const [head = '', body = ''] = stdout.toString().split('\r\n\r\n')
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/)
    assert.match(head, /\r\nVia: 1\.1 eproxy-/)
    const { method, url, headers } = JSON.parse(body) as Arrival
    assert.deepEqual([method, url, headers['x-one'], headers.host], ['GET', '/a?b=c', '1', `127.0.0.1:${peers.front.port}`])
  })

  test('HEAD ends with the head', async () => {
    await using peers = await startPeers()
    const { stdout } = await curl('-I', `${peers.front.url}/`)
    assert.match(stdout.toString(), /^HTTP\/1\.1 200 OK\r\n(?:.+\r\n)*Content-Length: \d+\r\n(?:.+\r\n)*\r\n$/i)
  })

  test('POST sends a file whole', async () => {
    using folder = new TemporaryFolder()
    const content = makePayload(3 * mib + 1)
    writeFileSync(folder.file('body'), content)
    await using peers = await startPeers()
    const { stdout } = await curl('--data-binary', `@${folder.file('body')}`, `${peers.front.url}/`)
    const arrival = JSON.parse(stdout.toString()) as Arrival
    assert.deepEqual([arrival.method, arrival.headers['content-length']], ['POST', String(content.length)])
    assert.deepEqual(checksumOf(arrival), await receive([content]))
  })

  test('a form with a file arrives as curl made it', async () => {
    using folder = new TemporaryFolder()
    writeFileSync(folder.file('a.txt'), 'content of a file')
    await using peers = await startPeers()
    const { stdout } = await curl('-F', 'name=value', '-F', `file=@${folder.file('a.txt')}`, `${peers.front.url}/text`)
    assert.match(stdout.toString(), /name="name"\r\n\r\nvalue\r\n--[^]*filename="a\.txt"[^]*content of a file\r\n--/)
  })

  test('an upload from a pipe arrives in chunks', async () => {
    const pieces = [makePayload(100), makePayload(70_000), makePayload(mib)]
    await using peers = await startPeers()
    const { stdout } = await runCurl(['-T', '-', `${peers.front.url}/upload`], pieces)
    const arrival = JSON.parse(stdout.toString()) as Arrival
    assert.deepEqual([arrival.method, arrival.headers['transfer-encoding']], ['PUT', 'chunked'])
    assert.deepEqual(checksumOf(arrival), await receive(pieces))
  })

  test('a body that waits for 100 is sent when the origin asks for it', async () => {
    await using peers = await startPeers()
    let waiting = 0
    peers.origin.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      waiting++
      response.writeContinue()
      answer(request, response)
    })
    // Longer than the test may take: curl goes on only when it is told to.
    const wait = ['--expect100-timeout', '60', '-H', 'Expect: 100-continue']
    const { stdout, stderr } = await curl('-v', ...wait, '--data-binary', 'x'.repeat(5_000), `${peers.front.url}/`)
    assert.match(stderr, /< HTTP\/1\.1 100 Continue\r?\n/)
    assert.equal((JSON.parse(stdout.toString()) as Arrival).bytes, 5_000)
    assert.equal(waiting, 1)
  })

  test('a body that is refused instead of being asked for is not sent', async () => {
    using folder = new TemporaryFolder()
    writeFileSync(folder.file('body'), makePayload(500_000))
    await using peers = await startPeers()
    peers.origin.server.on('checkContinue', (_request: IncomingMessage, response: ServerResponse) => response.writeHead(417).end('no'))
    const wait = ['--expect100-timeout', '60', '-H', 'Expect: 100-continue']
    const upload = ['--data-binary', `@${folder.file('body')}`]
    const { stdout } = await curl('-w', ' %{http_code} %{size_upload}', ...wait, ...upload, `${peers.front.url}/`)
    assert.equal(stdout.toString(), 'no 417 0')
    const [summary] = await peers.front.ended(1)
    assert.ok(summary !== undefined && summary.bytesIn < 1_000, `${summary?.bytesIn} bytes came in`)
  })

  test('two URLs use one connection', async () => {
    await using peers = await startPeers()
    const { stdout } = await curl(
      '-w',
      '%{num_connects} ',
      '-o',
      '/dev/null',
      `${peers.front.url}/1`,
      '-o',
      '/dev/null',
      `${peers.front.url}/2`,
    )
    assert.equal(stdout.toString(), '1 0 ')
    assert.deepEqual([peers.front.proxy.stats.connectionsTotal, peers.origin.connections], [1, 1])
  })

  test('twenty URLs in parallel are all answered', async () => {
    await using peers = await startPeers()
    const { stdout } = await curl('-Z', '--parallel-max', '8', '-o', '/dev/null', '-w', '%{http_code}\n', `${peers.front.url}/[1-20]`)
    assert.equal(stdout.toString(), '200\n'.repeat(20))
    assert.ok(peers.origin.connections <= 8, `${peers.origin.connections} connections to the origin`)
  })

  test('HTTP/1.0 gets a whole answer without chunks, and the end of the connection', async () => {
    await using peers = await startPeers()
    const { stdout } = await curl('--http1.0', '-i', `${peers.front.url}/chunked`)
    const [head = '', body] = stdout.toString().split('\r\n\r\n')
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/)
    assert.match(head, /\r\nConnection: close/i)
    assert.doesNotMatch(head, /\r\n(?:transfer-encoding|content-length):/i)
    assert.equal(body, 'one two three')
  })

  test('a compressed answer is unpacked', async () => {
    await using peers = await startPeers()
    const { stdout } = await curl('--compressed', `${peers.front.url}/gzip`)
    assert.equal(stdout.toString(), 'words '.repeat(20_000))
  })

  test('a field of 16 KB passes, one that is too long gets 431', async () => {
    await using peers = await startPeers()
    const { stdout } = await curl('-H', `X-Long: ${'x'.repeat(16_000)}`, `${peers.front.url}/`)
    assert.equal((JSON.parse(stdout.toString()) as Arrival).headers['x-long']?.length, 16_000)
    const refused = await curl('-w', '%{http_code}', '-o', '/dev/null', '-H', `X-Long: ${'x'.repeat(40_000)}`, `${peers.front.url}/`)
    assert.equal(refused.stdout.toString(), '431')
    assert.equal(peers.origin.requests, 1)
  })

  test('an origin that cannot be reached gives 502 with the reason', async () => {
    const unused = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => unused.once('listening', resolve))
    const { port } = unused.address() as { port: number }
    await new Promise((resolve) => unused.close(resolve))
    await using front = await ProxyFront.start({ upstreams: [`127.0.0.1:${port}`] })
    const { stdout } = await curl('-i', `${front.url}/`)
    assert.match(stdout.toString(), /^HTTP\/1\.1 502 Bad Gateway\r\n(?:.+\r\n)*Proxy-Status: eproxy; error=connection_refused/)
  })

  test('an absolute target, as for a forward proxy, reaches the origin in origin form', async () => {
    await using peers = await startPeers()
    const { stdout } = await curl('-x', peers.front.url, 'http://example.test/path?query')
    const { url, headers } = JSON.parse(stdout.toString()) as Arrival
    assert.deepEqual([url, headers.host, headers['proxy-connection']], ['/path?query', 'example.test', undefined])
  })
})

interface Peers extends AsyncDisposable {
  readonly origin: NodeOrigin
  readonly front: ProxyFront
}

async function startPeers(): Promise<Peers> {
  const origin = await NodeOrigin.start(answer)
  const front = await ProxyFront.start({ upstreams: [origin.address] })
  return {
    origin,
    front,
    [Symbol.asyncDispose]: async () => {
      await front[Symbol.asyncDispose]()
      await origin[Symbol.asyncDispose]()
    },
  }
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  switch (request.url) {
    case '/chunked':
      for (const word of ['one ', 'two ', 'three']) response.write(word)
      response.end()
      return
    case '/gzip': {
      const gzip = createGzip()
      response.writeHead(200, { 'content-encoding': 'gzip' })
      gzip.pipe(response)
      gzip.end('words '.repeat(20_000))
      return
    }
    case '/text':
      void text(request).then((body) => response.end(body))
      return
    default: {
      const { method = '', url = '', headers } = request
      void receive(request).then((received) => {
        const arrival: Arrival = { method, url, headers, ...received }
        const body = JSON.stringify(arrival)
        response.writeHead(200, { 'content-length': Buffer.byteLength(body) }).end(body)
      })
    }
  }
}

function checksumOf({ bytes, checksum }: Received): Received {
  return { bytes, checksum }
}

async function curl(...args: readonly string[]): Promise<CommandResult> {
  return runCurl(args, [])
}

/** Asserts that curl itself is content: exit code 0 means a response that was complete and well framed. */
async function runCurl(args: readonly string[], input: readonly Buffer[]): Promise<CommandResult> {
  const result = await runCommand(
    'curl',
    ['-q', '--silent', '--show-error', '--noproxy', args.includes('-x') ? '' : '*', '--max-time', '30', ...args],
    input,
  )
  assert.equal(result.code, 0, result.stderr)
  return result
}
