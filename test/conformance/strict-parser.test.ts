/** The reference parser of the suite against messages whose reading the RFCs leave no doubt about. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readRequest, readResponses } from '../../lib/conformance/strict-parser.ts'

const head = 'POST /a HTTP/1.1\r\nHost: a.test\r\n'

test('reads a counted request and stops exactly behind it', () => {
  const bytes = `${head}Content-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n`
  const reading = readRequest(bytes, 0)
  assert.equal(reading.kind, 'complete')
  assert.ok(reading.kind === 'complete')
  assert.equal(bytes.slice(reading.end), 'GET / HTTP/1.1\r\n')
  assert.deepEqual([reading.request.framing, reading.request.body], ['content-length', 'hello'])
})

test('joins chunks and keeps trailers apart from the fields', () => {
  const bytes = `${head}Transfer-Encoding: chunked\r\n\r\n5;a="b;c"\r\nhello\r\n1 ; x = y\r\n!\r\n0\r\nX-T: v\r\n\r\n`
  const reading = readRequest(bytes, 0)
  assert.ok(reading.kind === 'complete')
  assert.equal(reading.end, bytes.length)
  assert.equal(reading.request.body, 'hello!')
  assert.deepEqual(reading.request.trailers, [{ name: 'X-T', value: 'v' }])
  assert.deepEqual(
    reading.request.fields.map(({ name }) => name),
    ['Host', 'Transfer-Encoding'],
  )
})

test('calls every proper prefix of a good request unfinished', () => {
  const bytes = `${head}Transfer-Encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n0\r\nX-T: v\r\n\r\n`
  for (let end = 0; end < bytes.length; end += 1) assert.equal(readRequest(bytes.slice(0, end), 0).kind, 'unfinished', `at ${end}`)
})

test('refuses what two parsers could read in two ways', () => {
  const chunked = `${head}Transfer-Encoding: chunked\r\n\r\n`
  const faulty = [
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n',
    'GET  / HTTP/1.1\r\nHost: a\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nX: b\nY: c\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n',
    '\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
    `${head}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`,
    `${head}Content-Length: +5\r\n\r\nhello`,
    `${head}Content-Length: 15\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    `${head}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    `${head.replace('1.1', '1.0')}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `${chunked}5\nhello\r\n0\r\n\r\n`,
    `${chunked}0x5\r\nhello\r\n0\r\n\r\n`,
    `${chunked}5 \r\nhello\r\n0\r\n\r\n`,
    `${chunked}5\r\nhelloX\r\n0\r\n\r\n`,
    `${chunked}5;a\r\rb\r\nhello\r\n0\r\n\r\n`,
    `${chunked}0\r\nX-T: v\n\r\n`,
    `${chunked}0\r\nX T: v\r\n\r\n`,
  ]
  for (const bytes of faulty) assert.equal(readRequest(bytes, 0).kind, 'malformed', JSON.stringify(bytes))
})

test('takes interim responses, bodiless ones and the answer to HEAD apart', () => {
  const bytes =
    'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' +
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n' +
    'HTTP/1.1 204 No Content\r\n\r\n' +
    'HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok'
  const reading = readResponses(bytes, [0], false)
  assert.equal(reading.fault, null)
  assert.deepEqual(
    reading.interims.map(({ status }) => status),
    [103],
  )
  assert.deepEqual(
    reading.finals.map(({ status, body, complete }) => [status, body, complete]),
    [
      [200, '', true],
      [204, '', true],
      [200, 'ok', true],
    ],
  )
})

test('completes a close-delimited response only by the close', () => {
  const bytes = 'HTTP/1.1 200 OK\r\n\r\nhello'
  assert.equal(readResponses(bytes, [], false).finals[0]?.complete, false)
  assert.equal(readResponses(bytes, [], true).finals[0]?.complete, true)
})

test('names the bytes behind the last response that are no response', () => {
  const reading = readResponses('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokEXTRA', [], true)
  assert.equal(reading.finals.length, 1)
  assert.match(reading.fault ?? '', /EXTRA/)
})
