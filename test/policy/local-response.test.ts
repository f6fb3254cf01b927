/** Responses in the proxy's own name: who gets JSON, and that the length is that of the octets. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeLocalResponse, prefersJson, toOctets, withContent, type LocalResponse } from '../../lib/policy/local-response.ts'

const notFound: LocalResponse = { status: 404, error: 'destination_not_found', details: 'no route', fields: '' }
const asking = (accept: string): string => `GET / HTTP/1.1\r\nHost: a\r\nAccept: ${accept}\r\n\r\n`

test('JSON goes to whom names it before text, or with more weight', () => {
  const wants = (...values: readonly string[]): boolean =>
    prefersJson(`GET / HTTP/1.1\r\nHost: a\r\n${values.map((value) => `aCCept:${value}\r\n`).join('')}\r\n`)
  for (const value of [
    'application/json',
    ' application/problem+json;q=0.5',
    'APPLICATION/JSON, text/plain, */*',
    'text/html;q=0.5, application/json',
    '*/*;q=0.1,application/json ; q=0.2',
    'application/*',
    'application/vnd.github.v3+json, */*',
  ]) {
    assert(wants(value), value)
  }
  assert(wants('image/png', 'application/json'))
  for (const value of [
    '',
    '*/*',
    'text/html,application/json;q=0.9',
    'text/plain, application/json',
    'application/json;q=0',
    'application/jsonp',
    'application/+json',
    'application/a/b+json',
    'image/*',
    ',;q=,;,=;;q=1;q=0,"',
    'application/json;q=0.1, text/*;q=0.2',
  ]) {
    assert(!wants(value), value)
  }
  assert(!wants() && !prefersJson(''))
  // However long a field is, only its begin is worked through.
  assert(!wants(`${',a/b'.repeat(40)},application/json`) && wants(`${',a/b'.repeat(30)},application/json`))
  assert(!wants(...Array.from({ length: 40 }, () => 'a/b'), 'application/json'))
})

test('a problem has the title of its status, and details in any characters', () => {
  const answer = withContent({ ...notFound, details: 'caf\u00e9 "x"' }, asking('application/json'), null, '')
  const [head = '', body = ''] = encodeLocalResponse(answer, 'today', true, false).split('\r\n\r\n')
  assert.match(
    head,
    new RegExp(`^HTTP/1\\.1 404 Not Found\r\nContent-Type: application/problem\\+json\r\nContent-Length: ${body.length}\r\n`),
  )
  assert.deepEqual(JSON.parse(Buffer.from(body, 'latin1').toString('utf8')), { title: 'Not Found', status: 404, detail: 'caf\u00e9 "x"' })
})

test('what depends on Accept says so, whoever asks; what does not, does not', () => {
  for (const accept of ['*/*', 'application/json'])
    assert.match(withContent(notFound, asking(accept), null, '').fields, /^Vary: Accept\r\n$/)
  assert.match(withContent(notFound, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n', null, '').fields, /^Vary: Accept\r\n$/)
  assert.equal(withContent(notFound, '', null, '').fields, '')
  assert.equal(withContent({ ...notFound, status: 302 }, asking('application/json'), null, '').fields, '')
  const content = { type: 'text/html', octets: 'x' }
  assert.equal(withContent({ ...notFound, content }, asking('application/json'), null, '').fields, '')
})

test('content takes the place of the text about the status; 204 and 304 have none', () => {
  const content = { type: 'text/html', octets: toOctets('\u20ac') }
  const full = encodeLocalResponse({ status: 200, error: '', details: '', fields: 'X: y\r\n', content }, 'today', false, false)
  assert.equal(full, 'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\nDate: today\r\nX: y\r\n\r\n\xe2\x82\xac')
  for (const status of [204, 304]) {
    const none = encodeLocalResponse({ status, error: '', details: '', fields: '', content }, 'today', false, false)
    assert.match(none, /^HTTP\/1\.1 \d+ [A-Za-z ]+\r\nDate: today\r\n\r\n$/)
  }
  const toHead = encodeLocalResponse({ status: 200, error: '', details: '', fields: '', content }, 'today', false, true)
  assert.match(toHead, /Content-Length: 3\r\n[^]*\r\n\r\n$/)
})

test('a status is called what RFC 9110 calls it, and one that nobody knows nothing', () => {
  for (const [status, line, title] of [
    [413, '413 Content Too Large', 'Content Too Large'],
    [422, '422 Unprocessable Content', 'Unprocessable Content'],
    [599, '599 ', ''],
  ] as const) {
    const answer = { status, error: '', details: '', fields: '' }
    assert.match(encodeLocalResponse(withContent(answer, '', null, ''), 'today', false, false), new RegExp(`^HTTP/1\\.1 ${line}\r\n`))
    const { octets } = withContent(answer, asking('application/json'), null, '').content!
    assert.equal((JSON.parse(octets) as { title: string }).title, title)
  }
})
