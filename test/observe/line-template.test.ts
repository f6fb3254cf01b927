/** Templates: what names mean, what is refused, and that texts from outside stay within the line. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileTemplate, placeholderTable } from '../../lib/observe/line-template.ts'
import { Redaction } from '../../lib/observe/redaction.ts'
import { textOf } from '../support/line-text.ts'
import { summaryOf } from '../support/exchange-summary.ts'

const context = { worker: 3, redaction: new Redaction(['token']) }

function formatWith(template: string, escape: 'plain' | 'json', given: Parameters<typeof summaryOf>[0] = {}): string {
  return textOf(compileTemplate(template, escape))(summaryOf(given), context)
}

test('puts what the summary says in the place of each name', () => {
  assert.equal(
    formatWith('{time} {client} "{method} {target}" {status} {totalMs}ms w{worker}', 'plain'),
    '2024-02-29T12:34:56.007Z 192.0.2.7:53211 "GET /a?b=c" 200 2ms w3\n',
  )
  assert.equal(formatWith('{clientAddress}\t{commonTime}\t{startedAt}', 'plain'), '192.0.2.7\t29/Feb/2024:12:34:56 +0000\t1709210096007\n')
})

test('has a name for every member of a summary', () => {
  for (const name of Object.keys(summaryOf({}))) assert.ok(Object.hasOwn(placeholderTable, name), name)
})

test('writes - for what is empty in a plain line, and nothing in JSON', () => {
  assert.equal(formatWith('{upstream} {error} {rule} {userAgent} {route}', 'plain', { upstream: '' }), '- - - - -\n')
  assert.equal(formatWith('{"upstream":"{upstream}"}', 'json', { upstream: '' }), '{"upstream":""}\n')
})

test('takes braces around anything but a name as text', () => {
  assert.equal(formatWith('{"a":{"b":{status}}} {} { status } {{method}}', 'json'), '{"a":{"b":200}} {} { status } {GET}\n')
})

test('hides in texts what is to be hidden', () => {
  assert.equal(
    formatWith('{target} {referer}', 'plain', { target: '/?token=x', referer: 'http://a:b@c/?token=y' }),
    '/?token=*** http://***@c/?token=***\n',
  )
})

test('refuses a name that it does not know, and says which was perhaps meant', () => {
  assert.throws(() => compileTemplate('{metod}', 'plain'), {
    code: 'ERR_EPROXY_OPTION',
    message: /does not know \{metod\}; did you mean \{method\}\?/,
  })
  assert.throws(() => compileTemplate('{constructor}', 'plain'), /does not know \{constructor\}; there are time, /)
})

test('refuses a template that is empty, names nothing, or would not stay on one line', () => {
  assert.throws(() => compileTemplate('', 'plain'), /is empty/)
  assert.throws(() => compileTemplate('static', 'plain'), /names nothing of an exchange/)
  for (const control of ['\n', '\r', '\u0000', '\u001b', '\u009b'])
    assert.throws(() => compileTemplate(`{id}${control}`, 'plain'), /control character/)
})

test('writes text beyond ASCII of the template as UTF-8', () => {
  const line = formatWith('\u2192 {status} \u00fc', 'plain')
  assert.equal(Buffer.from(line, 'latin1').toString('utf8'), '\u2192 200 \u00fc\n')
})

test('whatever peers send, a line keeps its words and quotes, and JSON stays JSON that reads back', () => {
  const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 100 })
  const hostile = fc.oneof(latin1, fc.constantFrom('"', '\\', '\n', '" x="', '\\"', '","status":500,"x":"', ' ', '\t'))
  const plain = textOf(compileTemplate('{method} {upstream} "{userAgent}" {status}', 'plain'))
  const json = textOf(compileTemplate('{"m":"{method}","u":"{upstream}","a":"{userAgent}","s":{status}}', 'json'))
  fc.assert(
    fc.property(hostile, hostile, hostile, (method, upstream, userAgent) => {
      const summary = summaryOf({ method, upstream, userAgent })
      assert.match(plain(summary, context), /^[!-~]+ [!-~]+ "[ !#-~]*" 200\n$/)
      const line = json(summary, context)
      assert.match(line, /^[ -~]+\n$/)
      assert.deepEqual(JSON.parse(line), { m: method, u: upstream, a: userAgent, s: 200 })
    }),
    { numRuns: 500 },
  )
})
