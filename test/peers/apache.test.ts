/** Apache httpd as the origin: files, WebDAV uploads, compression, and connections that it closes after some requests. */
import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { describe, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { Apache, lacksApacheModules } from '../support/apache.ts'
import { ClientAgent } from '../support/client-agent.ts'
import { exchange } from '../support/http-client.ts'
import { describePayload, makeBlocks, makePayload, receive } from '../support/payload.ts'
import { isMissing } from '../support/program.ts'
import { ProxyFront } from '../support/proxy-front.ts'

const mib = 1_048_576

describe('Apache httpd', { skip: isMissing('apache2') || lacksApacheModules() }, () => {
  test('files from nothing to 1 MiB arrive unchanged, on connections that are kept', async () => {
    const files = Object.fromEntries([0, 1, 8_000, 65_536, 300_000, mib].map((bytes) => [`${bytes}.bin`, makePayload(bytes)]))
    await using apache = await Apache.start(files)
    await using front = await ProxyFront.start({ upstreams: [apache.address] })
    using client = new ClientAgent(2)
    const connections = new Set<unknown>()
    for (let round = 0; round < 10; round++) {
      await Promise.all(
        Object.entries(files).map(async ([name, content]) => {
          const { status, headers, body } = await exchange(`${front.url}/${name}`, { agent: client.agent })
          assert.equal(status, 200)
          assert.ok(body.equals(content), name)
          connections.add(headers['x-connection'])
        }),
      )
    }
    assert.ok(connections.size <= 2, `${connections.size} connections to Apache for 60 requests`)
  })

  test('an origin that closes every fifth time loses no request', async () => {
    await using apache = await Apache.start({ 'a.txt': Buffer.from('content') }, { requestsOfConnection: 5 })
    await using front = await ProxyFront.start({ upstreams: [apache.address] })
    using client = new ClientAgent(1)
    const connections = new Set<unknown>()
    for (let index = 0; index < 50; index++) {
      const { status, headers, body } = await exchange(`${front.url}/a.txt`, { agent: client.agent })
      assert.deepEqual([status, body.toString()], [200, 'content'])
      connections.add(headers['x-connection'])
    }
    assert.ok(connections.size >= 8 && connections.size <= 10, `${connections.size} connections to Apache for 50 requests`)
    assert.equal(front.proxy.stats.connectionsTotal, 1)
  })

  test('uploads of known and of unknown length are stored whole', async () => {
    await using apache = await Apache.start({})
    await using front = await ProxyFront.start({ upstreams: [apache.address] })
    const bytes = 16 * mib
    for (const [name, headers] of [
      ['length.bin', { 'content-length': bytes }],
      ['chunked.bin', {}],
    ] as const) {
      const { status } = await exchange(`${front.url}/upload/${name}`, { method: 'PUT', headers }, makeBlocks(bytes))
      assert.equal(status, 201, name)
      assert.deepEqual(await receive(createReadStream(apache.uploadedFile(name))), describePayload(bytes), name)
    }
  })

  test('a compressed answer in chunks passes as it is', async () => {
    const text = makePayload(300_000).toString('hex')
    await using apache = await Apache.start({ 'a.txt': Buffer.from(text) })
    await using front = await ProxyFront.start({ upstreams: [apache.address] })
    const { headers, body } = await exchange(`${front.url}/a.txt`, { headers: { 'accept-encoding': 'gzip' } })
    assert.deepEqual([headers['content-encoding'], headers['transfer-encoding']], ['gzip', 'chunked'])
    assert.equal(gunzipSync(body).toString(), text)
  })

  test('methods other than GET pass with their answers', async () => {
    await using apache = await Apache.start({ 'a.txt': Buffer.from('content') })
    await using front = await ProxyFront.start({ upstreams: [apache.address] })
    using client = new ClientAgent(1)
    const ask = (method: string, target: string, body: string[] = []) =>
      exchange(
        `${front.url}${target}`,
        { method, agent: client.agent, headers: method === 'PROPFIND' ? { depth: 1 } : {} },
        body.map((text) => Buffer.from(text)),
      )
    assert.match((await ask('OPTIONS', '/upload/')).headers.allow ?? '', /PROPFIND/)
    assert.equal((await ask('MKCOL', '/upload/folder')).status, 201)
    assert.equal((await ask('PUT', '/upload/folder/a', ['a'])).status, 201)
    const listing = await ask('PROPFIND', '/upload/folder/')
    assert.equal(listing.status, 207)
    assert.match(listing.body.toString(), /\/upload\/folder\/a</)
    assert.equal((await ask('DELETE', '/upload/folder')).status, 204)
    assert.equal((await ask('GET', '/upload/folder/a')).status, 404)
    assert.equal(front.proxy.stats.connectionsTotal, 1)
  })
})
