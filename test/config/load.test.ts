/** What is said of a configuration that is wrong, to the column, and what comes of one that is right. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { interpret, loadConfiguration, type Loaded } from '../../lib/config/load.ts'
import type { Override } from '../../lib/config/overrides.ts'
import { ConfigError } from '../../lib/config/problem.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

function load(text: string, overrides: readonly Override[] = [], environment: Record<string, string> = {}): Loaded {
  return interpret({ path: 'a.yaml', overrides, environment }, text)
}

/** The lines that are said of a text. */
function problemsOf(text: string, overrides: readonly Override[] = []): string[] {
  try {
    load(text, overrides)
  } catch (error) {
    assert(error instanceof ConfigError, String(error))
    return error.message.split('\n')
  }
  return []
}

const group = 'upstreams: { app: [127.0.0.1:1] }\n'

test('short forms are the full ones', () => {
  const short = load(`
listeners: [':8080']
upstreams: { app: [127.0.0.1:1, 'unix:/a'], api: { servers: ['x:1'], health: { statuses: 204 }, breaker: true } }
routes:
  - { match: { host: a.example, path: /v1/, method: GET, headers: { X-A: b } }, upstream: app, rewrite: /v2/, mirror: api, rateLimits: fast }
  - { match: { path: /old }, redirect: '/new' }
  - { match: { path: /text }, answer: hello }
  - { match: { path: /none }, answer: 404 }
rateLimits: { fast: 10/s, slow: 100/5m }
admin: 127.0.0.1:1
accessLog: '-'
`)
  const full = load(`
listeners:
  - address: ':8080'
    profile: raw
upstreams:
  app:
    servers:
      - { address: 127.0.0.1:1, weight: 1, backup: false }
      - { address: unix:/a }
    balance: power-of-two
  api:
    servers: [{ address: 'x:1' }]
    health: { statuses: [204] }
    breaker: { exchanges: 1024, waiting: 1024, retries: 32 }
routes:
  - name: route-1
    match:
      hosts: [a.example]
      path: { prefix: /v1/ }
      methods: [GET]
      headers: { x-a: { exact: b } }
    upstream: app
    rewrite: { prefix: /v2/ }
    mirror: { upstream: api, share: 1 }
    rateLimits: [fast]
  - match: { path: { prefix: /old } }
    redirect: { location: /new, status: 302 }
  - match: { path: { prefix: /text } }
    answer: { status: 200, body: hello, contentType: text/plain; charset=utf-8 }
  - match: { path: { prefix: /none } }
    answer: { status: 404 }
rateLimits:
  fast: { requests: 10, per: 1s, burst: 10, key: client }
  slow: { requests: 100, per: 5m }
admin: { address: 127.0.0.1:1, token: '', public: false }
accessLog: { destination: '-', format: json }
`)
  assert.deepEqual(short.configuration, full.configuration)
  const [route] = full.configuration.service.routes
  assert.deepEqual(route?.match, { hosts: ['a.example'], path: { prefix: '/v1/' }, methods: ['GET'], headers: { 'x-a': { exact: 'b' } } })
  assert.deepEqual(route?.action, { kind: 'proxy', group: 'app' })
})

test('routes for the same requests are for different listeners, and one that takes more is no repetition', () => {
  const both = `${group}listeners: [{ address: ':1', routes: [a] }, { address: ':2', routes: [b] }]
routes: [{ name: a, upstream: app }, { name: b, answer: x }]\n`
  assert.equal(load(both).configuration.service.routes.length, 2)
  const more = `${group}routes: [{ match: { host: a }, upstream: app }, { match: { hosts: [a, b] }, answer: x }]\n`
  assert.equal(load(more).configuration.service.routes.length, 2)
  assert.match(problemsOf(both.replace('[b]', '[b, a]')).join('\n'), /routes\[1\]: the same requests are taken by route "a" at /)
})

test('JSON is read as well', () => {
  const { configuration } = load('{\n\t"listeners": [":1"],\n\t"upstreams": {"app": ["127.0.0.1:1"]}\n}')
  assert.deepEqual(
    configuration.service.listeners.map(({ address }) => address),
    [':1'],
  )
})

test('with one group and no routes everything goes there', () => {
  const { service } = load(group).configuration
  assert.deepEqual(
    service.routes.map(({ name, action }) => [name, action]),
    [['default', { kind: 'proxy', group: 'app' }]],
  )
})

test('the profile decides what a listener does not say', () => {
  const { service } = load(
    `profile: edge\nlisteners: [':1', { address: ':2', profile: raw }, { address: ':3', requestBodyBytes: 1k, rateLimits: [] }]\n${group}`,
  ).configuration
  const [edge, raw, own] = service.listeners
  assert.equal(edge?.forwarded, 'both')
  assert.equal(edge.requestBodyBytes, 100 * 1_024 * 1_024)
  assert.equal(edge.connectionsPerClient, 100)
  assert.equal(edge.securityFields?.contentTypeOptions, true)
  assert.equal(edge.serverField, 'remove')
  assert.deepEqual(edge.rateLimits, ['edge-client'])
  assert.equal(service.rateLimits['edge-client']?.requests, 100)
  assert.deepEqual(raw, {
    address: ':2',
    profile: 'raw',
    forwarded: 'off',
    trustedProxies: [],
    rateLimits: [],
    connectionsPerClient: 0,
    requestBodyBytes: 0,
  })
  assert.equal(own?.requestBodyBytes, 1_024)
  assert.deepEqual(own.rateLimits, [])
})

test('pages for errors are texts, or files from the folder of the configuration', () => {
  using folder = new TemporaryFolder()
  fs.mkdirSync(folder.file('pages'))
  fs.writeFileSync(folder.file('pages/5xx.HTM'), '<p>\u20ac {status}')
  fs.writeFileSync(folder.file('pages/404.json'), '{}')
  fs.writeFileSync(folder.file('teapot'), 'short and stout')
  const path = folder.file('a.yaml')
  fs.writeFileSync(
    path,
    `listeners:
  - address: ':1'
    errorPages:
      5xx: pages/5xx.HTM
      404: { text: none, json: pages/404.json }
routes:
  - answer: 404
    errorPages:
      418: { file: ${folder.file('teapot')}, contentType: text/x-pot, json: { text: '[]' } }
      4xx: { text: '' }
`,
  )
  const { listeners, routes } = loadConfiguration({ path, overrides: [], environment: {} }).configuration.service
  assert.deepEqual(listeners[0]!.errorPages, {
    '404': {
      contentType: 'text/html; charset=utf-8',
      body: 'none',
      json: { contentType: 'application/json', body: '{}' },
    },
    '5xx': { contentType: 'text/html; charset=utf-8', body: '<p>\u20ac {status}' },
  })
  assert.deepEqual(routes[0]!.errorPages, {
    '418': { contentType: 'text/x-pot', body: 'short and stout', json: { contentType: 'application/json', body: '[]' } },
    '4xx': { contentType: 'text/html; charset=utf-8', body: '' },
  })
})

test('a file that is no page is told of where it is named', () => {
  using folder = new TemporaryFolder()
  fs.writeFileSync(folder.file('errorfile.html'), 'HTTP/1.0 503 Gone\r\n\r\n')
  fs.writeFileSync(folder.file('latin.html'), Buffer.from('caf\xe9', 'latin1'))
  fs.writeFileSync(folder.file('long.html'), Buffer.alloc(262_145))
  fs.writeFileSync(folder.file('unnamed'), '')
  const path = folder.file('a.yaml')
  fs.writeFileSync(
    path,
    `routes:
  - answer: 404
    errorPages:
      400: none.html
      401: { text: a, json: none.json }
      402: { file: errorfile.html }
      403: latin.html
      404: long.html
      405: unnamed
      406: .
      407: { file: latin.html, text: a }
      408: {}
      409: { text: a, contentType: '' }
      410: { text: a, json: {} }
`,
  )
  const at = (place: string, key: string, fault: string): string => `${path}:${place}: routes[0].errorPages.${key}: ${fault}`
  const of = (name: string, fault: string): string => `${folder.file(name)}: ${fault}`
  assert.throws(
    () => loadConfiguration({ path, overrides: [], environment: {} }),
    (error: Error) => {
      assert.deepEqual(error.message.split('\n'), [
        at('4:12', '400', of('none.html', 'there is no such file')),
        at('5:29', '401.json', of('none.json', 'there is no such file')),
        at('6:20', '402.file', of('errorfile.html', 'it begins with a status line; leave the head away, down to its empty line')),
        at('7:12', '403', of('latin.html', 'it is not UTF-8')),
        at('8:12', '404', of('long.html', 'a page has at most 256 KiB, not 257')),
        at('9:12', '405', of('unnamed', 'its name does not end in one of .html, .htm, .xhtml, .txt, .json, .xml; write contentType')),
        at('10:12', '406', `${folder.path}: it is a folder`),
        at('11:7', '407', 'file and text exclude each other'),
        at('12:7', '408', 'expected file or text: the page is empty'),
        at('13:36', '409.contentType', 'the media type of a page is ASCII in one line, and not empty'),
        at('14:23', '410.json', 'expected file or text: the page is empty'),
      ])
      return true
    },
  )
})

test('every mistake is told with its line, its column and what was expected', () => {
  const cases: readonly (readonly [text: string, ...said: string[]])[] = [
    [`${group}timeouts:\n  requestHaed: 10s\n`, 'a.yaml:3:3: timeouts: unknown key "requestHaed"; did you mean requestHead?'],
    ['upstream: {}\n', 'a.yaml:1:1: unknown key "upstream"; did you mean upstreams?'],
    [
      `${group}timeouts: { connect: 10 }\n`,
      'a.yaml:2:22: timeouts.connect: "10" is not a duration: the unit is missing; there are d, h, m, s, ms (for example 10s)',
    ],
    [
      `${group}timeouts: { connect: 10k }\n`,
      'a.yaml:2:22: timeouts.connect: "10k" is not a duration: write whole numbers with d, h, m, s, ms, such as 10s or 1h30m',
    ],
    [`${group}timeouts: { connect: .nan }\n`, 'a.yaml:2:22: timeouts.connect: expected a duration, such as 10s or 1h30m, not NaN'],
    [`${group}timeouts: { connect: 3d }\n`, 'a.yaml:2:22: timeouts.connect: must be from 1ms to 1d, not 3d'],
    [
      `${group}limits: { requestHeadBytes: 32s }\n`,
      'a.yaml:2:29: limits.requestHeadBytes: "32s" is not a size: write a whole number of bytes, or with k, m or g (k is 1024), such as 512 or 64k',
    ],
    [`${group}limits: { connections: 1.5 }\n`, 'a.yaml:2:24: limits.connections: "1.5" is not a whole number'],
    [`${group}workers: many\n`, 'a.yaml:2:10: workers: "many" is not a whole number'],
    [`${group}timeouts: 10s\n`, 'a.yaml:2:11: timeouts: expected a section of keys and values, not "10s"'],
    [`${group}forwarded: all\n`, 'a.yaml:2:12: forwarded: expected off, x-forwarded, forwarded or both, not "all"'],
    [`${group}profile: egde\n`, 'a.yaml:2:10: profile: expected raw or edge, not "egde"; did you mean edge?'],
    [`${group}via: 5\n`, "a.yaml:2:6: via: expected a text, not 5; write '5' in quotes"],
    [`${group}${group}`, 'a.yaml:2:1: this key is given twice; every key may stand once'],
    [
      `${group}listeners: [':1', 'host:port']\n`,
      'a.yaml:2:19: listeners[1]: "host:port" is not an address; write host:port, [v6]:port, :port or unix:path',
    ],
    [`${group}listeners: [':1', { address: ':1' }]\n`, 'a.yaml:2:30: listeners[1].address: another listener has :1 already'],
    [
      `${group}trustedProxies: [10.0.0.0/33]\n`,
      'a.yaml:2:18: trustedProxies[0]: "10.0.0.0/33" is not a network: the prefix is a whole number from 0 to 32',
    ],
    [`${group}routes:\n  - upstream: ap\n`, 'a.yaml:3:15: routes[0].upstream: there is no upstream group "ap"; did you mean app?'],
    [
      `${group}routes:\n  - { upstream: app, rateLimits: [fast] }\n`,
      'a.yaml:3:35: routes[0].rateLimits[0]: there is no rate limit "fast"; there is none',
    ],
    [`${group}routes:\n  - match: {}\n`, 'a.yaml:3:5: routes[0]: expected one of upstream, redirect, answer: the route leads nowhere'],
    [
      `${group}routes:\n  - { upstream: app, answer: x }\n`,
      'a.yaml:3:22: routes[0].answer: upstream and answer exclude each other: a route does one thing',
    ],
    [
      `${group}routes:\n  - { name: a, match: { host: A.example }, upstream: app }\n  - { match: { hosts: [a.example] }, answer: x }\n`,
      'a.yaml:4:7: routes[1].match: the same requests are taken by route "a" at a.yaml:3:16',
    ],
    [
      `${group}routes:\n  - { name: a, match: { host: a }, upstream: app }\n  - { name: b, match: { host: b }, upstream: app }\n  - { match: { hosts: [b, a] }, answer: x }\n`,
      'a.yaml:5:7: routes[2].match: the same requests are taken by route "b" at a.yaml:4:16 and route "a" at a.yaml:3:16',
    ],
    [
      `${group}routes:\n  - { upstream: app }\n  - answer: x\n`,
      'a.yaml:4:5: routes[1]: the same requests are taken by route "route-1" at a.yaml:3:5',
    ],
    [
      `${group}routes:\n  - { match: { path: { pattern: '(' } }, upstream: app }\n`,
      /^a\.yaml:3:33: routes\[0\]\.match\.path\.pattern: /.source,
    ],
    [`${group}rules: { H1-NULL: warn }\n`, 'a.yaml:2:10: rules: unknown key "H1-NULL"; did you mean H1-NUL?'],
    [
      `${group}routes:\n  - { upstream: app, requestHeaders: { set: { Content-Length: '5' } } }\n`,
      'a.yaml:3:47: routes[0].requestHeaders.set.Content-Length: Content-Length cannot be changed: it says where the message ends, and follows from the body',
    ],
    [
      `${group}admin: ':9090'\n`,
      'a.yaml:2:8: admin: :9090 can be reached from other machines; say public: true when that is meant, or take 127.0.0.1',
    ],
    [
      `${group}routes: [{ upstream: app, errorPages: { 200: { text: a } } }]\n`,
      'a.yaml:2:41: routes[0].errorPages.200: "200" is no error; write a status such as 404, or 4xx or 5xx for all of a class',
    ],
    [
      `${group}routes: [{ redirect: 'https://{host}{path}?{query}' }]\n`,
      'a.yaml:2:22: routes[0].redirect: {query} has its ? already: write {path}{query}',
    ],
    [
      `${group}admin: { address: ':9090', public: true }`,
      'a.yaml:2:36: admin.public: :9090 can be reached from other machines and needs a token: who does not know it sees nothing there',
    ],
    [
      `${group}admin: { address: '127.0.0.1:1', token: 15-characters-- }\n`,
      'a.yaml:2:41: admin.token: expected 16 or more characters without white space',
    ],
    [`${group}admin: { address: '127.0.0.1:1', token: { env: NONE } }\n`, 'a.yaml:2:34: admin.token: the environment has no variable NONE'],
    [
      `${group}rateLimitStore: http://h\n`,
      'a.yaml:2:17: rateLimitStore: expected redis://[user:password@]host:port[/db], or rediss:// for TLS; %40 stands for @, and so on',
    ],
    [`upstreams: { a: [x:1], b: [x:1] }\n`, 'a.yaml:1:1: upstreams: there are 2 groups and no routes that say which request goes where'],
    ['', 'a.yaml:1:1: there is nothing to do: expected upstreams, or routes that answer by themselves'],
    [
      `${group}accessLog: { destination: '-', format: template, template: '{tme}' }\n`,
      'a.yaml:2:60: accessLog.template: the template of the access log does not know {tme}; did you mean {time}?',
    ],
    [
      `${group}rules: { H1-TARGET-CHAR: warn, H1-BARE-CR: warn }\n`,
      'a.yaml:2:44: rules.H1-BARE-CR: H1-BARE-CR cannot be loosened: llhttp refuses it, before anybody else could let it pass. Those that can are ',
    ],
    [
      `${group}listeners: [{ address: ':1', securityFields: { referrerPolicy: none } }]\n`,
      'a.yaml:2:30: listeners[0].securityFields: referrerPolicy: "none" is none of ',
    ],
    [
      `${group}routes: [{ upstream: app, responseHeaders: { remove: Date, set: { A: '{hst}' } } }]\n`,
      'a.yaml:2:54: routes[0].responseHeaders.remove: Date cannot be changed: a response has exactly one, of whoever made it',
      'a.yaml:2:70: routes[0].responseHeaders.set.A: {hst} in the value of A is not known; there are ',
    ],
    ['- a\n', 'a.yaml:1:1: expected a section of keys and values, not a list'],
    [`${group}a: !!binary aGk=\n`, 'a.yaml:2:13: the tag "tag:yaml.org,2002:binary" has no meaning here'],
    [`${group}<<: { via: x }\n`, 'a.yaml:2:1: sections are not merged by <<; an alias (*name) stands for a whole section'],
    [`${group}__proto__: { via: x }\n`, 'a.yaml:2:1: unknown key "__proto__"'],
    [`${group}via: *x\n`, 'a.yaml:2:6: there is no anchor &x before this alias'],
    [`${group}---\nvia: x\n`, 'a.yaml:2:1: a second document begins here; the file is one'],
    [
      `upstreams: { app: { servers: [x:1], intervalMs: 1s, healt: /x } }\n`,
      'a.yaml:1:37: upstreams.app: unknown key "intervalMs"; there are servers, balance, hashOn, stickyCookie, slowStart, panicShare, resolveAll, health, outlier, breaker, host, pool, timeouts, desync',
      'a.yaml:1:53: upstreams.app: unknown key "healt"; did you mean health?',
    ],
    [
      `upstreams: { app: { servers: [x:1], slow_start: 1s } }\n`,
      'a.yaml:1:37: upstreams.app: unknown key "slow_start"; did you mean slowStart?',
    ],
    [
      `upstreams: { app: { servers: [x:1, x:1] } }\n`,
      'a.yaml:1:36: upstreams.app.servers[1]: the group has x:1 already; give it a weight instead',
    ],
    [
      `upstreams: { app: { servers: [x:1], hashOn: { cookie: a }, stickyCookie: b } }\n`,
      'a.yaml:1:37: upstreams.app.hashOn: it is for balance: hash, and balance is power-of-two',
      'a.yaml:1:60: upstreams.app.stickyCookie: it is for balance: sticky, and balance is power-of-two',
    ],
    [
      `upstreams: { app: { servers: [x:1], balance: sticky, stickyCookie: { sameSite: None } } }\n`,
      'a.yaml:1:54: upstreams.app.stickyCookie: browsers take a cookie with SameSite=None only when it is Secure',
    ],
    [
      `upstreams: { app: { servers: [x:1], health: { kind: tcp, path: /up, body: ok } } }\n`,
      'a.yaml:1:58: upstreams.app.health.path: a check of kind tcp asks for nothing; it is for kind: http',
      'a.yaml:1:69: upstreams.app.health.body: a check of kind tcp asks for nothing; it is for kind: http',
    ],
    [
      `upstreams: { app: { servers: [x:1], health: { interval: 1s, timeout: 3s } } }\n`,
      'a.yaml:1:70: upstreams.app.health.timeout: a check has to end before the next one begins: expected at most health.interval, which is 1s, not 3s',
    ],
    [
      `upstreams: { app: { servers: [{ address: x:1, weight: 0 }, { address: x:2, backup: true }] } }\n`,
      'a.yaml:1:21: upstreams.app.servers: no server of this group gets requests: every weight is 0',
    ],
    [
      `${group}routes: [{ match: { path: '/a/*' }, upstream: app }]\n`,
      'a.yaml:2:27: routes[0].match.path: nothing stands for other text in "/a/*": a path takes all that is below it, and { pattern } is a regular expression; write { prefix } or { exact } when it is meant to the letter',
    ],
    [
      `${group}routes: [{ match: { method: get }, upstream: app }]\n`,
      'a.yaml:2:29: routes[0].match.method: methods are compared to the letter: write GET, not "get"',
    ],
  ]
  for (const [text, ...said] of cases) {
    const found = problemsOf(text)
    if (said[0]?.startsWith('^') === true) assert.match(found.join('\n'), new RegExp(said[0]))
    else {
      assert.equal(found.length, said.length, found.join('\n'))
      // Of lists that are told only the beginning is looked at.
      for (const [index, line] of said.entries())
        assert.equal(line.endsWith(' ') ? found[index]?.slice(0, line.length) : found[index], line)
    }
  }
})

test('several mistakes are told in the order of the file, and not without end', () => {
  assert.deepEqual(
    problemsOf(`${group}via: 'a b'\ntimeouts: { dns: x, queue: true }\nworkers: 0\n`).map((line) => line.split(': ').slice(0, 2).join(' ')),
    ['a.yaml:2:6 via', 'a.yaml:3:18 timeouts.dns', 'a.yaml:3:28 timeouts.queue', 'a.yaml:4:10 workers'],
  )
  const many = problemsOf(Array.from({ length: 50 }, (_, index) => `wrong${index}: 1\n`).join(''))
  assert.equal(many.length, 21)
  assert.equal(many.at(-1), 'and 30 more')
})

test('a flag goes before the file, and what is wrong with it is told in its name', () => {
  const flag = (steps: readonly string[], value: string | readonly string[], shown: string): Override => ({ steps, value, shown })
  const text = `${group}timeouts: { queue: 1s, dns: 2s }\nlisteners: [{ address: ':1', profile: edge }, ':2']\naccessLog: /a\n`
  const { configuration } = load(text, [
    flag(['timeouts', 'queue'], '7s', '--timeout-queue'),
    flag(['listeners'], ['127.0.0.1:0'], '--listen'),
    flag(['upstreams'], ['127.0.0.1:7', 'unix:/x'], '--upstream'),
    flag(['accessLog', 'destination'], '-', 'EPROXY_ACCESS_LOG'),
    flag(['log', 'level'], 'debug', '--log-level'),
  ])
  assert.equal(configuration.engine.timeouts?.queue, 7_000)
  assert.equal(configuration.engine.timeouts.dns, 2_000)
  assert.deepEqual(
    configuration.service.listeners.map(({ address, profile }) => [address, profile]),
    [['127.0.0.1:0', 'edge']],
  )
  assert.deepEqual(
    configuration.service.groups['app']?.servers.map(({ address }) => address),
    ['127.0.0.1:7', 'unix:/x'],
  )
  assert.equal(configuration.accessLog?.destination, '-')
  assert.equal(configuration.logLevel, 'debug')

  assert.deepEqual(problemsOf(text, [flag(['timeouts', 'queue'], '7', 'EPROXY_TIMEOUT_QUEUE')]), [
    'EPROXY_TIMEOUT_QUEUE: "7" is not a duration: the unit is missing; there are d, h, m, s, ms (for example 7s)',
  ])
  assert.deepEqual(problemsOf('upstreams: { a: [x:1], b: [x:2] }', [flag(['upstreams'], ['y:1'], '--upstream')]), [
    '--upstream: the file has 2 groups of servers (a, b); which one is meant cannot be said by a flag',
  ])
  // Without a file a flag can say all there is.
  assert.equal(
    interpret({ path: undefined, overrides: [flag(['upstreams'], ['y:1'], '--upstream')], environment: {} }, '').configuration.service
      .routes.length,
    1,
  )
})

test('secrets come from the environment, or from a file beside the configuration', () => {
  using folder = new TemporaryFolder()
  fs.writeFileSync(folder.file('token'), 'a-token-from-a-file\n')
  fs.writeFileSync(
    folder.file('a.yaml'),
    `${group}admin: { address: '127.0.0.1:1', token: { file: token } }\nrateLimitStore: { url: { env: STORE } }\n`,
  )
  const { configuration } = loadConfiguration({ path: folder.file('a.yaml'), overrides: [], environment: { STORE: 'redis://h:1' } })
  assert.equal(configuration.admin?.token, 'a-token-from-a-file')
  assert.equal(configuration.service.rateLimitStore?.url, 'redis://h:1')
  // The file is there and nothing is in it: somebody meant to have a token.
  fs.writeFileSync(folder.file('token'), '\n')
  assert.throws(
    () => loadConfiguration({ path: folder.file('a.yaml'), overrides: [], environment: { STORE: 'redis://h:1' } }),
    /admin\.token: expected 16 or more characters without white space$/,
  )
})

test('a check of health takes 2 s at most, or its interval where that is shorter, unless it is said', () => {
  const timeoutOf = (health: string): number | undefined =>
    load(`upstreams: { app: { servers: [x:1], health: ${health} } }\n`).configuration.service.groups['app']?.health?.timeoutMs
  assert.equal(timeoutOf('/up'), 2_000)
  assert.equal(timeoutOf('{ interval: 1s }'), 1_000)
  assert.equal(timeoutOf('{ interval: 1s, timeout: 300ms }'), 300)
  assert.equal(timeoutOf('{ interval: 10s, timeout: 10s }'), 10_000)
})

test('statuses may be written as classes and ranges', () => {
  const { groups, routes } = load(`upstreams: { app: { servers: [x:1], health: { statuses: [2xx, 301-302, 404] } } }
routes: [{ upstream: app, retry: { on: [closed, 429, 502-504, 5xx] } }]\n`).configuration.service
  assert.deepEqual(groups['app']?.health?.statuses, [
    [200, 299],
    [301, 302],
    [404, 404],
  ])
  assert.deepEqual(routes[0]?.retry?.on.slice(0, 6), ['closed', 429, 502, 503, 504, 500])
  assert.equal(routes[0]?.retry?.on.at(-1), 599)
  const expected = 'expected connect, closed, timeout, or a status, a class or a range from 400 to 599, such as 503, 5xx or 502-504'
  for (const wrong of ['conect', '504-502', '6xx', '3xx', 200])
    assert.match(
      problemsOf(`${group}routes: [{ upstream: app, retry: { on: [${wrong}] } }]\n`).join(''),
      new RegExp(`retry\\.on\\[0\\]: ${expected}, not `),
    )
  assert.match(
    problemsOf('upstreams: { app: { servers: [x:1], health: { statuses: 6xx } } }').join(''),
    /health\.statuses: expected a status, a class or a range, such as 200, 2xx or 200-399, not "6xx"/,
  )
})

test('what is defined and used by nothing is told, and is no mistake', () => {
  const { configuration } = load('upstreams: { a: [x:1], b: [x:1] }\nroutes: [{ upstream: a }]\nrateLimits: { c: 1/s }\n')
  assert.deepEqual(configuration.warnings, ['upstreams.b is used by no route', 'rateLimits.c is used by no route and no listener'])
})

test('a file that cannot be read is told with its name', () => {
  using folder = new TemporaryFolder()
  for (const [path, said] of [
    [folder.file('none.yaml'), /none\.yaml: there is no such file$/],
    [folder.path, /: it is a folder$/],
    ['/dev/null', /: it is no regular file$/],
  ] as const)
    assert.throws(() => loadConfiguration({ path, overrides: [], environment: {} }), {
      name: 'ProxyError',
      code: 'ERR_EPROXY_OPTION',
      message: said,
    })
})

test('deep nesting and aliases that multiply are refused in words', () => {
  assert.match(problemsOf('['.repeat(100_000)).join(), /nested too deeply/)
  assert.match(problemsOf(`${'{a: '.repeat(200)}1${'}'.repeat(200)}`).join(), /nested too deeply/)
  const bomb = [
    'a0: &a0 [x, x, x, x, x, x, x, x, x, x]',
    ...Array.from({ length: 9 }, (_, index) => `a${index + 1}: &a${index + 1} [${`*a${index}, `.repeat(10)}]`),
  ]
  assert.match(problemsOf(bomb.join('\n')).join(), /alias/)
})

test('any text is a configuration or a list of problems, and nothing else', () => {
  const key = fc.constantFrom(
    'upstreams',
    'routes',
    'listeners',
    'match',
    'path',
    'timeouts',
    'queue',
    'rateLimits',
    'app',
    'servers',
    'health',
    '__proto__',
    'constructor',
    '<<',
    '',
  )
  const leaf = fc.oneof(
    fc.string({ maxLength: 8 }),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.constantFrom('127.0.0.1:1', '10s', '/a', '10/s', 'app', 'edge'),
  )
  const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      leaf,
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(key, tie('tree'), { maxKeys: 5 }),
    ),
  }))
  const yamlText = fc
    .array(
      fc.oneof(
        key,
        fc.constantFrom(
          ': ',
          '\n',
          '\n  ',
          '- ',
          '{',
          '}',
          '[',
          ']',
          ', ',
          '&a ',
          '*a',
          '!x ',
          '| ',
          '"',
          "'",
          '# ',
          '%YAML 1.1',
          '---\n',
          '\t',
          '\0',
          '\u{1F600}',
        ),
      ),
      { maxLength: 30 },
    )
    .map((pieces) => pieces.join(''))
  const check = (text: string): void => {
    for (const line of problemsOf(text)) assert.match(line, /^a\.yaml:\d+:\d+: .|^and \d+ more$/s)
  }
  fc.assert(
    fc.property(
      fc.oneof(
        yamlText,
        fc.string(),
        tree.map((value) => JSON.stringify(value) ?? ''),
        tree.map((value) => `${group}${JSON.stringify({ x: value })}`),
      ),
      check,
    ),
    { numRuns: 500 },
  )
})
