/** Pages for errors: which one is shown to whom, what is filled in, and what is no page. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkErrorPages, makeErrorPages, type ErrorPages } from '../../lib/policy/error-pages.ts'
import { toOctets, withContent, type LocalResponse } from '../../lib/policy/local-response.ts'

const notFound: LocalResponse = { status: 404, error: 'destination_not_found', details: 'no route', fields: '' }
const asking = (accept: string): string => `GET / HTTP/1.1\r\nHost: a\r\nAccept: ${accept}\r\n\r\n`

test('the page of a status goes before that of its class, and those of a route before those of its listener', () => {
  const page = (body: string): { contentType: string; body: string } => ({ contentType: 'text/plain', body })
  const listener = makeErrorPages({ '404': page('listener 404'), '5xx': page('listener 5xx') }, null)
  const route = makeErrorPages({ '4xx': page('route 4xx'), '503': page('route 503') }, listener)
  const shown = (status: number, pages: ErrorPages | null): string =>
    withContent({ ...notFound, status, details: '' }, asking('*/*'), pages, '').content!.octets
  assert.equal(shown(404, listener), 'listener 404')
  assert.equal(shown(403, listener), '403 Forbidden\n')
  assert.equal(shown(404, route), 'route 4xx')
  assert.equal(shown(503, route), 'route 503')
  assert.equal(shown(502, route), 'listener 5xx')
  assert.equal(makeErrorPages({}, listener), listener)
  assert.equal(makeErrorPages(undefined, null), null)
})

test('a page is for whom does not put JSON first, who gets the JSON of the page or a problem', () => {
  const json = { contentType: 'application/json', body: '{"id":"{request_id}"}' }
  const page = { contentType: 'text/html', body: '<p>{request_id}' }
  const pages = makeErrorPages({ '404': { ...page, json }, '403': page }, null)
  const typeOf = (status: number, accept: string): string => withContent({ ...notFound, status }, asking(accept), pages, 'i').content!.type
  assert.equal(typeOf(404, 'text/html'), 'text/html')
  assert.equal(typeOf(404, 'application/json'), 'application/json')
  assert.equal(typeOf(403, 'application/json'), 'application/problem+json')
  assert.equal(withContent(notFound, '', pages, 'i').content!.octets, '<p>i')
})

test('what is filled in stays text in HTML, XML and JSON, and braces of style sheets are left alone', () => {
  const body = 'p{color:red} {status} {reason} {request_id} {host} {Status} \u20ac'
  const id = `<b a="1">'&\\`
  const shown = (contentType: string): string =>
    withContent(notFound, '', makeErrorPages({ '4xx': { contentType, body } }, null), id).content!.octets
  const filled = (text: string): string => toOctets(`p{color:red} 404 Not Found ${text} {host} {Status} \u20ac`)
  for (const type of ['text/html; charset=utf-8', 'TEXT/HTML', 'application/xml', 'image/svg+xml'])
    assert.equal(shown(type), filled('&#60;b a=&#34;1&#34;&#62;&#39;&#38;\\'), type)
  for (const type of ['application/json', 'application/problem+json ;a=b']) assert.equal(shown(type), filled(`<b a=\\"1\\">'&\\\\`), type)
  assert.equal(shown('text/plain'), filled(id))
})

test('what is no page is refused, and says which and why', () => {
  const page = { contentType: 'text/html', body: '' }
  for (const [pages, expected] of [
    [{ '200': page }, /here: 200: "200" is no error; write a status such as 404, or 4xx or 5xx/],
    [{ '5XX': page }, /"5XX" is no error/],
    [{ '404': { ...page, contentType: 'a/b\r\nX: y' } }, /here: 404: the media type of a page is ASCII in one line/],
    [{ '404': { ...page, contentType: '' } }, /media type/],
    [{ '404': page, '5xx': { ...page, json: { ...page, contentType: '\u20ac' } } }, /here: 5xx: the media type/],
    [{ '404': { ...page, body: '\u20ac'.repeat(90_000) } }, /a page has at most 256 KiB, not 264/],
  ] as const)
    assert.throws(() => checkErrorPages(pages, 'here'), expected)
  checkErrorPages({ '404': page, '4xx': { ...page, json: page }, '599': { ...page, body: 'x'.repeat(262_144) } }, 'here')
})
