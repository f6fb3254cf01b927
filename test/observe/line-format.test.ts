/** Lines of JSON and of the combined format: what is in them, and that nobody outside can make them anything but one line. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { formatCombinedLine, formatJsonLine } from '../../lib/observe/line-format.ts'
import { Redaction } from '../../lib/observe/redaction.ts'
import { textOf } from '../support/line-text.ts'
import { summaryOf } from '../support/exchange-summary.ts'

const jsonLine = textOf(formatJsonLine)
const combinedLine = textOf(formatCombinedLine)

test('writes one exchange as one line of JSON with the fields in a fixed order', () => {
  const line = jsonLine(summaryOf({}))
  assert.equal(
    line,
    '{"time":"2024-02-29T12:34:56.007Z","id":"k3f9-1a2b","client":"192.0.2.7:53211","method":"GET","target":"/a?b=c","version":"1.1",' +
      '"status":200,"in":83,"out":1500,"upstream":"127.0.0.1:3000","conn":17,"reused":true,"t_head":0.123,"t_upstream":0.035,' +
      '"t_response":1.25,"t_total":2,"term":"--"}\n',
  )
})

test('leaves out optional fields that say nothing and keeps those that do', () => {
  const refused = JSON.parse(
    jsonLine(
      summaryOf({
        method: '',
        target: '',
        version: '',
        upstream: '',
        upstreamConnection: 0,
        reused: false,
        upstreamMs: -1,
        responseMs: -1,
        status: 400,
        termination: 'PR',
        error: 'ERR_EPROXY_REQUEST_REFUSED',
        rule: 'H1-HOST-MISSING',
      }),
    ),
  )
  assert.equal('upstream' in refused, false)
  assert.equal(refused.error, 'ERR_EPROXY_REQUEST_REFUSED')
  assert.equal(refused.rule, 'H1-HOST-MISSING')
  assert.equal(refused.t_upstream, -1)
  const tunnel = JSON.parse(jsonLine(summaryOf({ tunnel: true, retries: 2 })))
  assert.equal(tunnel.tunnel, true)
  assert.equal(tunnel.retries, 2)
  assert.equal('error' in tunnel || 'rule' in tunnel, false)
})

test('turns any target into printable ASCII on one line that reads back as the same target', () => {
  const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 300 })
  const hostile = fc.oneof(
    latin1,
    fc.string({ unit: 'binary' }),
    fc.constantFrom('"}\n{"id":"forged"', '\\', '\\"', '\u001b[2J', '\u007f\u0080', '\u2028\u2029', ''),
  )
  fc.assert(
    fc.property(hostile, hostile, hostile, (target, method, upstream) => {
      const line = jsonLine(summaryOf({ target: `/${target}`, method, upstream }))
      assert.match(line, /^[ -~]+\n$/)
      const parsed = JSON.parse(line)
      assert.equal(parsed.target, `/${target}`)
      assert.equal(parsed.method, method)
      assert.equal(parsed.upstream ?? '', upstream)
    }),
    { numRuns: 500 },
  )
})

test('writes every time of day as ISO 8601 with milliseconds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), fc.boolean(), (startedAt, again) => {
      const times = again ? [startedAt, startedAt + 1, startedAt + 999] : [startedAt]
      for (const time of times) assert.equal(JSON.parse(jsonLine(summaryOf({ startedAt: time }))).time, new Date(time).toISOString())
    }),
  )
})

test('writes durations that are not numbers as -1, so that the line stays JSON', () => {
  const parsed = JSON.parse(jsonLine(summaryOf({ totalMs: NaN, headMs: Infinity })))
  assert.equal(parsed.t_total, -1)
  assert.equal(parsed.t_head, -1)
})

test('names the route and the listener where they are configured', () => {
  const parsed = JSON.parse(jsonLine(summaryOf({ route: 'api "v1"', listener: '[::]:8080' })))
  assert.equal(parsed.route, 'api "v1"')
  assert.equal(parsed.listener, '[::]:8080')
})

describe('the combined format', () => {
  test('is that of Apache: client, time, request line, status, bytes, referer and user agent', () => {
    const line = combinedLine(summaryOf({ referer: 'https://a.example/x?y=1', userAgent: 'curl/8.1 (x86_64)' }))
    assert.equal(
      line,
      '192.0.2.7 - - [29/Feb/2024:12:34:56 +0000] "GET /a?b=c HTTP/1.1" 200 1500 "https://a.example/x?y=1" "curl/8.1 (x86_64)"\n',
    )
  })

  test('writes - for what there is not, and three digits for a status', () => {
    const line = combinedLine(summaryOf({ client: '[2001:db8::1]:443', method: '', target: '', version: '', status: 0, bytesOut: 0 }))
    assert.equal(line, '2001:db8::1 - - [29/Feb/2024:12:34:56 +0000] "-" 000 0 "-" "-"\n')
  })

  test('takes a client for what it is, with a port or without', () => {
    for (const [client, shown] of [
      ['192.0.2.7:53211', '192.0.2.7'],
      ['192.0.2.7', '192.0.2.7'],
      ['[2001:db8::1]:443', '2001:db8::1'],
      ['2001:db8::1', '2001:db8::1'],
      ['unix', 'unix'],
      ['unknown', 'unknown'],
    ] as const)
      assert.equal(combinedLine(summaryOf({ client })).split(' ')[0], shown)
  })

  test('writes every second of a day as that second, whatever the order', () => {
    const time = fc.integer({ min: 0, max: 4_102_444_800_000 })
    fc.assert(
      fc.property(time, (startedAt) => {
        const text = /\[(.*)\]/.exec(combinedLine(summaryOf({ startedAt })))![1]!
        const [day, month, year, hours, minutes, seconds] = text.split(/[/: ]/)
        assert.equal(Date.parse(`${day} ${month} ${year} ${hours}:${minutes}:${seconds} GMT`), Math.floor(startedAt / 1_000) * 1_000)
      }),
    )
  })

  test('gives a reader that only looks for the next quote or blank what the peers sent', () => {
    const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength: 100 })
    const hostile = fc.oneof(latin1, fc.constantFrom('" 200 0 "', '\\', '\\"', '\r\n127.0.0.1 - -', '\u001b]0;x\u0007', '\\x22', '-'))
    fc.assert(
      fc.property(hostile, hostile.map(withoutUser), hostile, (path, referer, userAgent) => {
        const target = `/${path}`
        const line = combinedLine(summaryOf({ target, referer, userAgent }))
        assert.match(line, /^[ -~]+\n$/)
        const fields = /^(\S+) - - \[([^\]]+)\] "(\S+) (\S+) (\S+)" (\d+) (\d+) "([^"]*)" "([^"]*)"\n$/.exec(line)
        assert.ok(fields, line)
        assert.equal(unescape(fields[4]!), target)
        assert.equal(unescape(fields[8]!), referer || '-')
        assert.equal(unescape(fields[9]!), userAgent || '-')
      }),
      { numRuns: 500 },
    )
  })

  test('hides in the referer what it hides in the target', () => {
    const redaction = new Redaction(['token'])
    const summary = summaryOf({ target: '/?token=pssst', referer: 'https://me:pssst@a.example/?token=pssst&b=1', userAgent: 'x' })
    const line = combinedLine(summary, { worker: 0, redaction })
    assert.doesNotMatch(line, /pssst/)
    assert.match(line, /"GET \/\?token=\*\*\* HTTP\/1\.1" .* "https:\/\/\*\*\*@a\.example\/\?token=\*\*\*&b=1"/)
  })
})

/** What is hidden does not read back. */
function withoutUser(text: string): string {
  return text.replaceAll('@', '')
}

/** \xHH as the octet that it stands for. */
function unescape(text: string): string {
  return text.replace(/\\x([0-9A-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
}
