/** One question to a server that may do anything: one verdict, in time, and nothing is left. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProxyError } from '../../lib/core/errors.ts'
import { parseUpstreamAddress } from '../../lib/core/options.ts'
import type { HealthOptions } from '../../lib/core/service-options.ts'
import { formatCheckRequest, HealthCheck, type CheckResult } from '../../lib/upstream/health-check.ts'
import { UpstreamStage } from '../support/upstream-stage.ts'

const options: HealthOptions = {
  kind: 'http',
  path: '/up',
  host: '',
  intervalMs: 5_000,
  timeoutMs: 2_000,
  rise: 2,
  fall: 3,
  statuses: [[200, 299], [304, 304]], // oxfmt-ignore
  body: '',
}

class Checked {
  readonly stage = new UpstreamStage()
  readonly results: CheckResult[] = []
  readonly check: HealthCheck

  constructor(more: Partial<HealthOptions> = {}, address = '10.0.0.1:80') {
    const own = { ...options, ...more }
    this.check = new HealthCheck(parseUpstreamAddress(address), own, formatCheckRequest(own, address), this.stage.environment, (result) =>
      this.results.push(result),
    )
  }

  /** The one verdict; nothing but it is left. */
  verdict(): CheckResult {
    assert.equal(this.results.length, 1)
    this.stage.closeSockets()
    this.stage.assertEmpty()
    assert.equal(this.results.length, 1)
    return this.results[0]!
  }
}

/** The verdict on a server that says this, in pieces of so many bytes, and then ends its side. */
function judge(answer: string, more: Partial<HealthOptions> = {}, pieceBytes = answer.length): CheckResult {
  const checked = new Checked(more)
  const { stage } = checked
  stage.connect(0)
  for (let at = 0; at < answer.length && !stage.isGone(0); at += pieceBytes) stage.say(0, answer.slice(at, at + pieceBytes))
  if (!stage.isGone(0)) stage.hangUp(0)
  return checked.verdict()
}

const head = (status: number, fields = ''): string => `HTTP/1.1 ${status} Some Reason\r\n${fields}\r\n`
const ok = (body: string): string => head(200, `Content-Length: ${body.length}\r\n`) + body

// oxfmt-ignore
const verdictTable: readonly { readonly what: string; readonly answer: string; readonly more?: Partial<HealthOptions>; readonly isGood: boolean; readonly reason: RegExp }[] = [
  { what: 'a status in the range', answer: ok('fine'), isGood: true, reason: /^status 200$/ },
  { what: 'a status in another range', answer: head(304), isGood: true, reason: /^status 304$/ },
  { what: 'a status in none', answer: head(503, 'Content-Length: 0\r\n'), isGood: false, reason: /^status 503$/ },
  { what: 'interim responses before the final one', answer: head(103) + head(102) + ok(''), isGood: true, reason: /^status 200$/ },
  { what: 'interim responses without end', answer: head(103).repeat(100), isGood: false, reason: /H1-INTERIM-LIMIT/ },
  { what: 'the text that is expected', answer: ok('all is well here'), more: { body: 'is well' }, isGood: true, reason: /as expected/ },
  { what: 'the text in chunks', answer: head(200, 'Transfer-Encoding: chunked\r\n') + '5\r\nall i\r\n6\r\ns well\r\n0\r\n\r\n', more: { body: 'is well' }, isGood: true, reason: /as expected/ },
  { what: 'the text in chunks of one octet', answer: head(200, 'Transfer-Encoding: chunked\r\n') + 'all is well'.split('').map((octet) => `1\r\n${octet}\r\n`).join('') + '0\r\n\r\n', more: { body: 'is well' }, isGood: true, reason: /as expected/ },
  { what: 'a text of one octet', answer: ok('all is well'), more: { body: 'w' }, isGood: true, reason: /as expected/ },
  { what: 'the last octets that are looked at', answer: ok(`${'x'.repeat(65_529)}is well`), more: { body: 'is well' }, isGood: true, reason: /as expected/ },
  { what: 'the text in a body that ends with the connection', answer: head(200) + 'is well', more: { body: 'is well' }, isGood: true, reason: /as expected/ },
  { what: 'the text in octets beyond ASCII', answer: ok(Buffer.from('à la carte').toString('latin1')), more: { body: 'à la' }, isGood: true, reason: /as expected/ },
  { what: 'another text', answer: ok('all is lost'), more: { body: 'is well' }, isGood: false, reason: /not in the body/ },
  { what: 'another text that ends with the connection', answer: head(200) + 'is', more: { body: 'is well' }, isGood: false, reason: /not in the body/ },
  { what: 'the text too late', answer: ok(`${'x'.repeat(65_536)}is well`), more: { body: 'is well' }, isGood: false, reason: /not in the first 65536 bytes/ },
  { what: 'a body that is cut', answer: ok('all is lost').slice(0, -3), more: { body: 'is well' }, isGood: false, reason: /closed|H1-INCOMPLETE/ },
  { what: 'nothing', answer: '', isGood: false, reason: /closed the connection/ },
  { what: 'half a head', answer: 'HTTP/1.1 200 OK\r\nServ', isGood: false, reason: /H1-INCOMPLETE|closed/ },
  { what: 'no HTTP', answer: 'SSH-2.0-OpenSSH_9.2\r\n', isGood: false, reason: /broke a rule/ },
  { what: 'two lengths', answer: head(200, 'Content-Length: 1\r\nContent-Length: 2\r\n') + 'x', isGood: false, reason: /broke a rule/ },
  { what: 'a head without end', answer: `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}`, isGood: false, reason: /broke a rule/ },
]

for (const { what, answer, more, isGood, reason } of verdictTable) {
  test(`${what}: ${isGood ? 'good' : 'bad'}, however it is split`, () => {
    const sizes = answer.length < 400 ? [answer.length, 1, 2, 7] : [30_000, 10_000]
    for (const pieceBytes of sizes) {
      const verdict = judge(answer, more, Math.max(1, pieceBytes))
      assert.equal(verdict.isGood, isGood)
      assert.match(verdict.reason, reason)
    }
  })
}

test('it asks for the path, in its own name, on a connection that is for nothing else', () => {
  const checked = new Checked()
  let seen = ''
  checked.stage.socket(0).onWrite = (text) => void (seen += text)
  checked.stage.connect(0)
  assert.equal(seen, 'GET /up HTTP/1.1\r\nHost: 10.0.0.1:80\r\nUser-Agent: eproxy-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n')
  checked.stage.clock.advance(50)
  checked.stage.say(0, ok(''))
  assert.deepEqual(checked.verdict(), { isGood: true, reason: 'status 200', status: 200, ms: 50 })
})

test('a server that takes the connection and keeps it, or says something, is good enough for a check that only connects', () => {
  const keeps = new Checked({ kind: 'tcp' })
  keeps.stage.clock.advance(30)
  keeps.stage.connect(0)
  assert.deepEqual(keeps.results, [])
  keeps.stage.clock.advance(200)
  assert.deepEqual(keeps.verdict(), { isGood: true, reason: 'it takes connections', status: 0, ms: 30 })

  const greets = new Checked({ kind: 'tcp' })
  greets.stage.connect(0)
  greets.stage.say(0, '220 mail.example ready\r\n')
  assert.equal(greets.verdict().isGood, true)
})

test('a server that takes a connection and closes it at once, as what stands in front of one that is gone does, is bad', () => {
  for (const end of ['hangUp', 'cut'] as const) {
    const checked = new Checked({ kind: 'tcp' })
    checked.stage.connect(0)
    checked.stage[end](0)
    const { isGood, reason } = checked.verdict()
    assert.equal(isGood, false)
    assert.match(reason, /closed it at once|ECONNRESET/)
  }
})

test('a refused connection is bad, and says so in the words of the system', () => {
  const checked = new Checked({ kind: 'tcp' })
  checked.stage.refuse(0)
  const { isGood, reason } = checked.verdict()
  assert.equal(isGood, false)
  assert.match(reason, /ECONNREFUSED/)
})

for (const { what, run } of [
  { what: 'takes no connection', run: () => {} },
  { what: 'says nothing', run: (stage: UpstreamStage) => stage.connect(0) },
  {
    what: 'says one byte each second',
    run: (stage: UpstreamStage) => {
      stage.connect(0)
      stage.say(0, 'H')
      stage.clock.advance(1_000)
      stage.say(0, 'T')
    },
  },
]) {
  test(`a server that ${what} is bad when the time is over`, () => {
    const checked = new Checked()
    run(checked.stage)
    checked.stage.clock.advance(3_000)
    const { isGood, reason, ms } = checked.verdict()
    assert.equal(isGood, false)
    assert.equal(reason, 'no complete answer within 2000 ms')
    assert(ms >= 2_000 && ms <= 2_100, `${ms} ms`)
  })
}

test('a name is resolved first; one that has no address is bad', async () => {
  const checked = new Checked({}, 'app.test:80')
  assert.equal(checked.stage.sockets.length, 0)
  await checked.stage.lookups[0]!.succeed('10.0.0.7')
  assert.deepEqual(checked.stage.addresses, [{ kind: 'tcp', host: '10.0.0.7', port: 80 }])
  checked.stage.connect(0)
  checked.stage.say(0, ok(''))
  assert.equal(checked.verdict().isGood, true)

  const other = new Checked({}, 'nowhere.test:80')
  await other.stage.lookups[0]!.fail(new ProxyError('ERR_EPROXY_DNS_FAILED', 'nowhere.test has no address'))
  assert.deepEqual(other.verdict().reason, 'nowhere.test has no address')
})

test('a check that is cancelled says nothing any more, whatever comes', async () => {
  const checked = new Checked({}, 'app.test:80')
  checked.check.cancel()
  await checked.stage.lookups[0]!.succeed('10.0.0.7')
  assert.equal(checked.stage.sockets.length, 0)
  const connected = new Checked()
  connected.stage.connect(0)
  connected.check.cancel()
  connected.stage.closeSockets()
  connected.stage.clock.advance(10_000)
  for (const { stage, results } of [checked, connected]) {
    stage.assertEmpty()
    assert.deepEqual(results, [])
  }
})

test('what cannot stand in a request is refused when it is configured', () => {
  for (const wrong of [
    { path: 'up' },
    { path: '' },
    { path: '/a b' },
    { path: '/\r\nX: y' },
    { path: '/ü' },
    { host: 'a b' },
    { host: 'a\r\n' },
  ])
    assert.throws(() => formatCheckRequest({ ...options, ...wrong }, 'fine'), { code: 'ERR_EPROXY_OPTION' }, JSON.stringify(wrong))
})

test('whatever a server says and however it ends, there is one verdict and nothing is left', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom(
        head(200),
        head(100),
        head(503),
        'HTTP/1.1 200 OK\r\n',
        'Content-Length: 5\r\n\r\n',
        'hello',
        '\r\n',
        '0\r\n\r\n',
        'x',
      ),
      fc.string({ unit: 'binary-ascii', minLength: 1 }),
    ),
    { maxLength: 8 },
  )
  fc.assert(
    fc.property(pieces, fc.constantFrom('', 'hello'), fc.constantFrom('end', 'cut', 'wait'), (texts, body, ending) => {
      const checked = new Checked({ body })
      const { stage } = checked
      stage.connect(0)
      for (const text of texts) if (!stage.isGone(0)) stage.say(0, text)
      if (!stage.isGone(0) && ending === 'end') stage.hangUp(0)
      else if (!stage.isGone(0) && ending === 'cut') stage.cut(0)
      stage.closeSockets()
      stage.clock.advance(3_000)
      checked.verdict()
    }),
  )
})
