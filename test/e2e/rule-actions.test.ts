/** Rules that are told to warn: the message goes on, is counted and logged; on other routes, and for other rules, all is as strict as ever. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { RuleActions } from '../../lib/core/service-options.ts'
import type { RuleId } from '../../lib/index.ts'
import { silentLogger } from '../../lib/observe/logger.ts'
import { ProxyUnderTest } from '../support/proxy-under-test.ts'
import { get } from '../support/raw-client.ts'
import { answering, ScriptedOrigin } from '../support/scripted-origin.ts'
import { serviceFor } from '../support/service.ts'

const chunked = 'POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n'

/** What is sent breaks the rule alone, and arrives so. */
const rows: readonly { rule: RuleId; sent: string; arrives: string }[] = [
  { rule: 'H1-EMPTY-LINE', sent: `\r\n\r\n\r\n${get()}`, arrives: get() },
  { rule: 'H1-TARGET-CHAR', sent: get('/a"<b>^`{c}?d=<e>'), arrives: get('/a"<b>^`{c}?d=<e>') },
  { rule: 'H1-TARGET-ESCAPE', sent: get('/50%/%zz%4'), arrives: get('/50%/%zz%4') },
  { rule: 'H1-UPGRADE', sent: get('/', 'Connection: upgrade\r\nUpgrade: a b\r\n'), arrives: get() },
  {
    rule: 'H1-MAX-FORWARDS',
    sent: 'OPTIONS / HTTP/1.1\r\nHost: test\r\nMax-Forwards: 1x\r\n\r\n',
    arrives: 'OPTIONS / HTTP/1.1\r\nHost: test\r\nMax-Forwards: 1x\r\n\r\n',
  },
  { rule: 'H1-TRAILER-FIELD', sent: `${chunked}1\r\nx\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n`, arrives: chunked },
]

for (const { rule, sent, arrives } of rows) {
  for (const place of ['listener', 'route'] as const) {
    test(`${rule} passes where the ${place} tells it to warn, and is told`, async (t) => {
      const origin = await ScriptedOrigin.start(t, answering())
      const rules: RuleActions = { [rule]: 'warn' }
      const lines: { action?: string; rule?: string }[] = []
      const collect = (fields: object): void => void lines.push(fields)
      const proxy = await ProxyUnderTest.start(t, {
        service: serviceFor(origin.address, { [place]: { rules } }),
        via: '',
        logger: { ...silentLogger, info: collect },
      })
      const client = await proxy.client()
      assert.equal((await client.exchange(sent)).status, 200)
      assert.equal(origin.heads[0], arrives)
      assert.equal(proxy.proxy.stats.toleratedTotal, 1)
      assert.equal(proxy.proxy.stats.refusedTotal, 0)
      assert.deepEqual(
        lines.map((line) => [line.action, line.rule]),
        [['warn', rule]],
      )
      assert.equal((await client.exchange(get())).status, 200)
    })
  }

  test(`${rule} is refused on a route that rejects what its listener tolerates`, async (t) => {
    const origin = await ScriptedOrigin.start(t, answering())
    const service = serviceFor(origin.address, { listener: { rules: { [rule]: 'warn' } }, route: { rules: { [rule]: 'reject' } } })
    const proxy = await ProxyUnderTest.start(t, { service, via: '' })
    const client = await proxy.client()
    assert.equal((await client.exchange(sent)).status, 400)
    const summary = await proxy.summary()
    assert.deepEqual([summary.rule, summary.error], [rule, 'ERR_EPROXY_REQUEST_REFUSED'])
    assert.equal(proxy.proxy.stats.toleratedTotal, 0)
    assert.equal(proxy.proxy.stats.refusedTotal, 1)
  })
}

test('what stays refused with every rule loosened that can be', async (t) => {
  const origin = await ScriptedOrigin.start(t, answering())
  const rules = Object.fromEntries(rows.map(({ rule }) => [rule, 'warn'] as const))
  const proxy = await ProxyUnderTest.start(t, { service: serviceFor(origin.address, { listener: { rules } }), via: '' })
  for (const sent of [
    get('/a\\b'),
    get('/a#b'),
    get('/a\xe9'),
    get('/a b'),
    get('/a\x7f'),
    get('/a\tb'),
    `\r\n\n${get()}`,
    '\r\n'.repeat(40_000),
    `${chunked}0\r\nHost : evil\r\n\r\n`,
  ]) {
    const client = await proxy.client()
    assert.equal((await client.exchange(sent)).status, 400, JSON.stringify(sent.slice(0, 80)))
  }
  assert.equal(origin.heads.length, 0)
})
