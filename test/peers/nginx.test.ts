/** nginx as the origin: static files of many sizes, ranges, validators, compression, uploads it takes and one it refuses. */
import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import type { OutgoingHttpHeaders } from 'node:http'
import { text } from 'node:stream/consumers'
import { describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { ClientAgent } from '../support/client-agent.ts'
import { exchange, open } from '../support/http-client.ts'
import { Nginx } from '../support/nginx.ts'
import { describePayload, makeBlocks, makePayload, receive } from '../support/payload.ts'
import { isMissing, runCommand } from '../support/program.ts'
import { ProxyFront } from '../support/proxy-front.ts'

const mib = 1_048_576
const sizes = [0, 1, 100, 1_023, 4_096, 16_384, 65_535, 65_536, 65_537, 200_000, 262_144, mib]

describe('nginx', { skip: isMissing('nginx') }, () => {
  test('files from nothing to 1 MiB arrive unchanged, on connections that are kept', async () => {
    const files = Object.fromEntries(sizes.map((bytes) => [`${bytes}.bin`, makePayload(bytes)]))
    await using nginx = await Nginx.start(files)
    await using front = await ProxyFront.start({ upstreams: [nginx.address] })
    using client = new ClientAgent(2)
    const connections = new Set<unknown>()
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        Object.entries(files).map(async ([name, content]) => {
          const { status, headers, body } = await exchange(`${front.url}/${name}`, { agent: client.agent })
          assert.equal(status, 200)
          assert.ok(body.equals(content), name)
          connections.add(headers['x-connection'])
        }),
      )
    }
    assert.ok(connections.size <= 2, `${connections.size} connections to nginx for ${5 * sizes.length} requests`)
  })

  test('an origin that closes every tenth time loses no request', async () => {
    await using nginx = await Nginx.start({ 'a.txt': Buffer.from('content') }, { requestsOfConnection: 10 })
    await using front = await ProxyFront.start({ upstreams: [nginx.address] })
    using client = new ClientAgent(1)
    const connections = new Set<unknown>()
    for (let index = 0; index < 100; index++) {
      const { status, headers, body } = await exchange(`${front.url}/a.txt`, { agent: client.agent })
      assert.deepEqual([status, body.toString()], [200, 'content'])
      connections.add(headers['x-connection'])
    }
    assert.equal(connections.size, 10)
    assert.equal(front.proxy.stats.connectionsTotal, 1)
  })

  test('64 MiB go up and come down unchanged', async () => {
    const bytes = 64 * mib
    await using nginx = await Nginx.start({ 'large.bin': makePayload(bytes) })
    await using front = await ProxyFront.start({ upstreams: [nginx.address] })
    const stored = await exchange(
      `${front.url}/upload/large.bin`,
      { method: 'PUT', headers: { 'content-length': bytes } },
      makeBlocks(bytes),
    )
    assert.equal(stored.status, 201)
    assert.deepEqual(await receive(createReadStream(nginx.uploadedFile('large.bin'))), describePayload(bytes))
    const download = await open(`${front.url}/large.bin`)
    assert.equal(download.headers['content-length'], String(bytes))
    assert.deepEqual(await receive(download), describePayload(bytes))
  })

  test('an upload in chunks is stored whole', async () => {
    const bytes = 3 * mib + 7
    await using nginx = await Nginx.start({})
    await using front = await ProxyFront.start({ upstreams: [nginx.address] })
    const { status } = await exchange(`${front.url}/upload/chunked.bin`, { method: 'PUT' }, makeBlocks(bytes))
    assert.equal(status, 201)
    assert.deepEqual(await receive(createReadStream(nginx.uploadedFile('chunked.bin'))), describePayload(bytes))
  })

  test('HEAD, a range, several ranges and a validator are answered as nginx answers them', async () => {
    const content = makePayload(100_000)
    await using nginx = await Nginx.start({ 'a.bin': content })
    await using front = await ProxyFront.start({ upstreams: [nginx.address] })
    using client = new ClientAgent(1)
    const ask = (method: string, headers: OutgoingHttpHeaders) => exchange(`${front.url}/a.bin`, { method, headers, agent: client.agent })

    const head = await ask('HEAD', {})
    assert.deepEqual([head.status, head.headers['content-length'], head.body.length], [200, '100000', 0])

    const range = await ask('GET', { range: 'bytes=500-999' })
    assert.deepEqual([range.status, range.headers['content-range']], [206, 'bytes 500-999/100000'])
    assert.ok(range.body.equals(content.subarray(500, 1_000)))

    const ranges = await ask('GET', { range: 'bytes=0-9,20-29' })
    assert.equal(ranges.status, 206)
    assert.match(ranges.headers['content-type'] ?? '', /^multipart\/byteranges; boundary=/)
    assert.ok(ranges.body.includes(content.subarray(20, 30)))

    assert.equal((await ask('GET', { range: 'bytes=200000-' })).status, 416)

    const unchanged = await ask('GET', { 'if-none-match': head.headers.etag })
    assert.deepEqual([unchanged.status, unchanged.body.length], [304, 0])
    assert.equal((await ask('GET', {})).body.length, 100_000)
    assert.equal(front.proxy.stats.connectionsTotal, 1)
  })

  test('a compressed answer passes as it is', async () => {
    const words = 'the same words again and again '.repeat(10_000)
    await using nginx = await Nginx.start({ 'a.txt': Buffer.from(words) })
    await using front = await ProxyFront.start({ upstreams: [nginx.address] })
    const { headers, body } = await exchange(`${front.url}/a.txt`, { headers: { 'accept-encoding': 'gzip' } })
    assert.deepEqual([headers['content-encoding'], headers['transfer-encoding']], ['gzip', 'chunked'])
    assert.equal(gunzipSync(body).toString(), words)
  })

  test('a refusal that comes before the end of the upload reaches the client', async () => {
    await using nginx = await Nginx.start({})
    await using front = await ProxyFront.start({ upstreams: [nginx.address] })
    const bytes = 8 * mib
    const response = await open(`${front.url}/small/a.bin`, { method: 'PUT', headers: { 'content-length': bytes } }, makeBlocks(bytes))
    assert.deepEqual([response.statusCode, response.headers.connection], [413, 'close'])
    assert.match(await text(response), /413 Request Entity Too Large/)
    const [summary] = await front.ended(1)
    assert.equal(summary?.status, 413)
  })

  test('curl takes ranges and compressed answers, and resumes a download', { skip: isMissing('curl') }, async () => {
    const content = makePayload(50_000)
    const words = 'words '.repeat(5_000)
    await using nginx = await Nginx.start({ 'a.bin': content, 'a.txt': Buffer.from(words) })
    await using front = await ProxyFront.start({ upstreams: [nginx.address] })
    const range = await runCommand('curl', ['-sS', '-r', '100-199', `${front.url}/a.bin`])
    assert.ok(range.stdout.equals(content.subarray(100, 200)), range.stderr)
    const rest = await runCommand('curl', ['-sS', '-C', '49000', `${front.url}/a.bin`])
    assert.ok(rest.stdout.equals(content.subarray(49_000)), rest.stderr)
    const compressed = await runCommand('curl', ['-sS', '--compressed', '-D', '-', `${front.url}/a.txt`])
    assert.match(compressed.stdout.toString(), /^HTTP\/1\.1 200 OK\r\n(?:.+\r\n)*Content-Encoding: gzip\r\n/)
    assert.ok(compressed.stdout.toString().endsWith(`\r\n\r\n${words}`))
  })
})
