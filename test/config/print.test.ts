/** The printed configuration: where each value came from, no secrets, and a file that gives the same configuration again. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { interpret, type Loaded } from '../../lib/config/load.ts'
import type { Override } from '../../lib/config/overrides.ts'
import { printConfiguration } from '../../lib/config/print.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

const examplePath = fileURLToPath(new URL('../../../lib/config/example.yaml', import.meta.url))

const text = `profile: edge
listeners: [':8080', { address: ':8081', profile: raw, rules: { H1-UPGRADE: warn }, requestId: X-Id, errorPages: { 404: { text: gone } } }]
trustedProxies: [10.0.0.0/8]
upstreams:
  app: [127.0.0.1:1, { address: '127.0.0.1:2', weight: 3 }]
  api: { servers: [x:1], health: /up, outlier: true, balance: hash, hashOn: { header: X }, slowStart: 10s, breaker: {} }
routes:
  - match: { host: [a.example, '*.b.example'], path: /v1/, headers: { x: y, z: { present: false } } }
    upstream: app
    rateLimits: fast
    retry: { on: [503, connect] }
    mirror: { upstream: api, share: 10% }
    rewrite: { prefix: / }
  - { match: { path: { exact: /x }, method: GET }, redirect: 'https://{host}{path}', securityFields: true, timeouts: { request: 3s } }
  - { match: { path: { pattern: '/y/[0-9]+' } }, answer: 404, allow: [10.0.0.0/8], deny: ['::1'] }
  - { upstream: api, securityFields: false, responseHeaders: { set: { A: 'b # c' } }, errorPages: { 5xx: { text: a, json: { text: b, contentType: c/d } } } }
rateLimits: { fast: 10/m }
rateLimitStore: redis://user:pa@ss@host:1/2
admin: { address: 127.0.0.1:9, token: { env: TOKEN } }
accessLog: '-'
timeouts: { connect: 1500ms }
limits: { minRate: 1k/s }
via: ''
`
const overrides: readonly Override[] = [
  { steps: ['workers'], value: '3', shown: '--workers' },
  { steps: ['timeouts', 'queue'], value: '0s500ms', shown: 'EPROXY_TIMEOUT_QUEUE' },
]
const environment = { TOKEN: 'a-sesame-of-some-length' }

test('what is printed is a file that gives the same configuration', () => {
  const loaded = interpret({ path: 'a.yaml', overrides, environment }, text)
  const printed = printConfiguration(loaded, overrides)
  const again = interpret({ path: 'b.yaml', overrides: [], environment }, printed.replace('****************', 'pa@ss'))
  assert.deepEqual(again.configuration, loaded.configuration)
  // And as a fixed point: what is printed of that says the same.
  const values = (output: string): string => output.replaceAll(/ # .*$/gm, '')
  assert.equal(values(printConfiguration(again, [])).replace('pa@ss', '********'), values(printed))
})

test('the example and an empty file of flags come back as well', () => {
  for (const [source, given] of [
    [fs.readFileSync(examplePath, 'utf8'), []],
    ['', [{ steps: ['upstreams'], value: ['a:1', 'b:1'], shown: '--upstream' }]],
  ] as const) {
    const loaded = interpret({ path: 'a.yaml', overrides: given, environment }, source)
    const again = interpret({ path: 'b.yaml', overrides: [], environment }, printConfiguration(loaded, given))
    assert.deepEqual(again.configuration, loaded.configuration)
  }
})

test('a page that is named by its file comes from where it was named', () => {
  using folder = new TemporaryFolder()
  for (const name of ['404.html', '404.json']) fs.writeFileSync(folder.file(name), name)
  const source = `routes:
  - answer: 404
    errorPages:
      404: ${folder.file('404.html')}
      4xx: { text: a, json: ${folder.file('404.json')} }
`
  const loaded = interpret({ path: 'a.yaml', overrides: [], environment }, source)
  const printed = printConfiguration(loaded, [])
  assert.deepEqual(interpret({ path: 'b.yaml', overrides: [], environment }, printed).configuration, loaded.configuration)
  const lines = printed.split('\n')
  assert(lines.includes(`        file: ${folder.file('404.html')} # a.yaml:4`), printed)
  assert(lines.includes(`          file: ${folder.file('404.json')} # a.yaml:5`), printed)
})

test('every value says where it came from', () => {
  const lines = printConfiguration(interpret({ path: 'a.yaml', overrides, environment }, text), overrides).split('\n')
  for (const line of [
    'workers: 3 # --workers',
    'profile: edge # a.yaml:1',
    '  - address: :8080 # a.yaml:2',
    '    connectionsPerClient: 100 # profile edge',
    '    connectionsPerClient: 0 # default',
    '      H1-UPGRADE: warn # a.yaml:2',
    '      name: X-Id # a.yaml:2',
    '      accept: trusted # default',
    '        text: gone # a.yaml:2',
    '          contentType: c/d # a.yaml:16',
    '      - 10.0.0.0/8 # a.yaml:3',
    '      - address: 127.0.0.1:1 # a.yaml:5',
    '        weight: 1 # default',
    '        weight: 3 # a.yaml:5',
    '      path: /up # a.yaml:6',
    '      interval: 5s # default',
    '        prefix: /v1/ # a.yaml:8',
    '      - fast # a.yaml:10',
    '    requests: 10 # a.yaml:17',
    '    per: 60s # a.yaml:17',
    '    burst: 10 # default',
    '  connect: 1500ms # a.yaml:21',
    '  queue: 500ms # EPROXY_TIMEOUT_QUEUE',
    '  dns: 3s # default',
    '  minRate: 1k/s # a.yaml:22',
  ])
    assert(lines.includes(line), `${line}\nis not in\n${lines.join('\n')}`)
  const unexplained = lines.filter(
    (line) => /: \S|^ *- \S+$/.test(line) && !/ # (?:default|profile edge|--|EPROXY_|a\.yaml:\d+)/.test(line),
  )
  assert.deepEqual(unexplained, [])
})

test('secrets that were written out are masked', () => {
  const written = text.replace('{ env: TOKEN }', 'an-open-sesame-of-some-length')
  const loaded = interpret({ path: 'a.yaml', overrides: [], environment }, written)
  const printed = printConfiguration({ ...loaded, content: withKey(loaded.content, 'an-open-sesame-of-some-length') }, [])
  assert.match(printed, / key: "?\*{16}"?/)
  assert.doesNotMatch(printed, /sesame|pa@ss/)
  assert.match(printed, /token: "?\*{16}"?/)
  assert.match(printed, /url: redis:\/\/user:\*{16}@host:1\/2/)
})

/** A key of TLS for its store. */
function withKey(content: Loaded['content'], key: string): Loaded['content'] {
  const { rateLimitStore } = content
  assert(rateLimitStore !== undefined)
  return { ...content, rateLimitStore: { ...rateLimitStore, key } }
}
