/** Load generators as clients: many connections at once, and no request that fails. How fast it goes is the bench's to say. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { NodeOrigin } from '../support/node-origin.ts'
import { isMissing, runCommand } from '../support/program.ts'
import { ProxyFront } from '../support/proxy-front.ts'

describe('load', () => {
  test('wrk with 64 connections for 2 s sees no error', { skip: isMissing('wrk') }, async () => {
    await using origin = await NodeOrigin.start((_request, response) => response.writeHead(200, { 'content-length': 5 }).end('hello'))
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    const { code, stdout, stderr } = await runCommand('wrk', ['-t', '1', '-c', '64', '-d', '2s', front.url])
    assert.equal(code, 0, stderr)
    const report = stdout.toString()
    assert.match(report, /\d+ requests in /)
    assert.doesNotMatch(report, /Socket errors|Non-2xx/, report)
    // wrk breaks off what runs when its time is over; nothing else may end in any other way.
    const failed = front.exchanges.filter(({ error }) => error !== '' && error !== 'ERR_EPROXY_CLIENT_ABORTED')
    assert.deepEqual(failed, [])
    assert.ok(origin.connections <= 64 + breakOffsMax, `${origin.connections} connections to the origin for ${origin.requests} requests`)
  })

  test('ab with keep-alive, which speaks HTTP/1.0, sees no error', { skip: isMissing('ab') }, async () => {
    await using origin = await NodeOrigin.start((_request, response) => response.writeHead(200, { 'content-length': 5 }).end('hello'))
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    const { code, stdout, stderr } = await runCommand('ab', ['-q', '-k', '-n', '2000', '-c', '16', `${front.url}/`])
    assert.equal(code, 0, stderr)
    const report = stdout.toString()
    assert.match(report, /^Complete requests: +2000$/m)
    assert.match(report, /^Failed requests: +0$/m)
    assert.match(report, /^Keep-Alive requests: +2000$/m)
    assert.doesNotMatch(report, /Non-2xx/, report)
    assert.ok(front.proxy.stats.connectionsTotal <= 16)
    assert.ok(origin.connections <= 16, `${origin.connections} connections to the origin`)
  })

  test('ab without keep-alive opens a connection for each request, the proxy does not', { skip: isMissing('ab') }, async () => {
    await using origin = await NodeOrigin.start((_request, response) => response.end('hello'))
    await using front = await ProxyFront.start({ upstreams: [origin.address] })
    const { stdout } = await runCommand('ab', ['-q', '-n', '1000', '-c', '16', `${front.url}/`])
    const report = stdout.toString()
    assert.match(report, /^Complete requests: +1000$/m)
    assert.match(report, /^Failed requests: +0$/m)
    assert.ok(front.proxy.stats.connectionsTotal >= 1_000)
    assert.ok(origin.connections <= 16, `${origin.connections} connections to the origin`)
  })
})

/** Connections of wrk that may break off at its end, each with the connection to the origin that it had. */
const breakOffsMax = 64
