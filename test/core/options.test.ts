/** Every row of the option tables, what is refused, and addresses as people write them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProxyError } from '../../lib/core/errors.ts'
import {
  desyncLimitTable,
  formatAddress,
  limitTable,
  parseListenAddress,
  parseUpstreamAddress,
  poolTable,
  resolveOptions,
  timeoutTable,
  type Address,
  type ProxyOptions,
} from '../../lib/core/options.ts'

interface Row {
  readonly default: number
  readonly min: number
  readonly max: number
  readonly doc: string
}

const tables: Readonly<Record<'timeouts' | 'limits' | 'pool' | 'desync', Readonly<Record<string, Row>>>> = {
  timeouts: timeoutTable,
  limits: limitTable,
  pool: poolTable,
  desync: desyncLimitTable,
}
const groups = Object.keys(tables) as (keyof typeof tables)[]
const rows = groups.flatMap((group) => Object.entries(tables[group]).map(([name, row]) => ({ group, name, row })))

/** As from JavaScript, where nobody has looked at the types. */
function resolve(given: unknown): ReturnType<typeof resolveOptions> {
  return resolveOptions(given as ProxyOptions, 'test')
}

function isOptionError(mention: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ProxyError, String(error))
    assert.equal(error.code, 'ERR_EPROXY_OPTION')
    assert(error.message.includes(mention), `${JSON.stringify(error.message)} does not mention ${mention}`)
    return true
  }
}

test('the default of every row lies within its bounds, and every row has a doc of one line', () => {
  assert(rows.length > 40)
  for (const { group, name, row } of rows) {
    assert(Number.isSafeInteger(row.min) && Number.isSafeInteger(row.max) && Number.isSafeInteger(row.default), `${group}.${name}`)
    assert(0 <= row.min && row.min <= row.default && row.default <= row.max, `${group}.${name}`)
    assert.match(row.doc, /^\S[^\n]*\S$/, `${group}.${name}`)
  }
})

test('who gives nothing gets every default', () => {
  const config = resolve({})
  for (const { group, name, row } of rows) assert.equal((config[group] as Record<string, number>)[name], row.default, `${group}.${name}`)
  for (const group of groups) assert.deepEqual(Object.keys(config[group]), Object.keys(tables[group]))
  assert.deepEqual(config.upstreams, [])
  assert.equal(config.via, 'test')
  assert.equal(config.forwarded, 'off')
  assert.equal(config.halfClosedClients, 'abort')
  assert.equal(config.reuseAfterBody, 'same-client')
})

test('every row takes its bounds and refuses what lies beyond them', () => {
  for (const { group, name, row } of rows) {
    for (const value of [row.min, row.max]) {
      const numbers = resolve({ [group]: { [name]: value } })[group] as Record<string, number>
      assert.equal(numbers[name], value)
      for (const [other, { default: usual }] of Object.entries(tables[group])) if (other !== name) assert.equal(numbers[other], usual)
    }
    for (const value of [row.min - 1, row.max + 1]) {
      assert.throws(() => resolve({ [group]: { [name]: value } }), isOptionError(`${group}.${name}`))
    }
  }
})

test('every row refuses what is not a number', () => {
  for (const { group, name } of rows) {
    for (const value of [Number.NaN, Infinity, -Infinity, '100', '10s', '', null, true, {}, [100], 100n, Symbol.iterator]) {
      assert.throws(() => resolve({ [group]: { [name]: value } }), isOptionError(`${group}.${name}`), typeof value)
    }
  }
})

test('sizes and counts are whole numbers', () => {
  for (const { group, name, row } of rows) {
    if (group === 'timeouts') continue
    assert.throws(() => resolve({ [group]: { [name]: row.min + 0.5 } }), isOptionError(`${group}.${name}`))
  }
})

test('undefined is as good as not given', () => {
  const nothing = {
    upstreams: undefined,
    timeouts: undefined,
    limits: undefined,
    pool: undefined,
    desync: undefined,
    reuseAfterBody: undefined,
    via: undefined,
    forwarded: undefined,
    halfClosedClients: undefined,
  }
  assert.deepEqual(resolve(nothing), resolve({}))
  for (const { group, name } of rows) assert.deepEqual(resolve({ [group]: { [name]: undefined } }), resolve({}))
})

test('names that are no option are refused, those of every object too', () => {
  for (const name of ['timeout', 'Timeouts', 'upstream', 'toString', 'constructor', '__proto__', '']) {
    const given = Object.defineProperty({}, name, { value: 1, enumerable: true })
    assert.throws(() => resolve(given), isOptionError('is not an option'), name)
    for (const group of groups) assert.throws(() => resolve({ [group]: given }), isOptionError(`${group}.${name} is not an option`), name)
  }
  assert.throws(() => resolve({ timeouts: { idle: 1_000 } }), isOptionError('firstByte'))
})

test('a group that is not an object of numbers is refused', () => {
  for (const group of groups) {
    for (const value of [5, true, 'connect', [], [1_000], () => {}]) {
      assert.throws(() => resolve({ [group]: value }), isOptionError(group), `${group}: ${String(value)}`)
    }
  }
})

test('upstreams that are not a list of texts are refused', () => {
  for (const upstreams of ['127.0.0.1:80', 5, true, {}, [5], [null], [undefined], [['127.0.0.1:80']]]) {
    assert.throws(() => resolve({ upstreams }), isOptionError('upstream'), JSON.stringify(upstreams))
  }
})

test('words that are not in the list of an option are refused', () => {
  for (const forwarded of ['off', 'x-forwarded', 'forwarded', 'both']) assert.equal(resolve({ forwarded }).forwarded, forwarded)
  for (const reuseAfterBody of ['same-client', 'anyone']) assert.equal(resolve({ reuseAfterBody }).reuseAfterBody, reuseAfterBody)
  for (const halfClosedClients of ['abort', 'serve']) assert.equal(resolve({ halfClosedClients }).halfClosedClients, halfClosedClients)
  for (const word of ['', 'on', 'Off', 'both ', true, 0, ['both']]) {
    assert.throws(() => resolve({ forwarded: word }), isOptionError('forwarded'), String(word))
    assert.throws(() => resolve({ reuseAfterBody: word }), isOptionError('reuseAfterBody'), String(word))
    assert.throws(() => resolve({ halfClosedClients: word }), isOptionError('halfClosedClients'), String(word))
  }
})

test('the pseudonym is a token with or without a port, or nothing at all', () => {
  for (const via of ['', 'eproxy', 'a.example', 'a.example:8080', "!#$%&'*+-.^_`|~"]) assert.equal(resolve({ via }).via, via)
  for (const via of [
    'a b',
    'a,b',
    'a/b',
    'a\r\nX: y',
    'a\n',
    'a:',
    'a:b',
    'a:80:80',
    ':80',
    '[::1]',
    'é',
    'a\0',
    'a;b',
    '"a"',
    '(a)',
    5,
    true,
    ['a'],
  ]) {
    assert.throws(() => resolve({ via }), isOptionError('via'), JSON.stringify(via))
  }
})

test('the result is frozen through and through, and none of it is what was given', () => {
  const given = {
    upstreams: ['127.0.0.1:80', 'unix:/run/app.sock'],
    timeouts: { connect: 5 },
    limits: { connections: 7 },
    pool: { waiting: 0 },
    desync: { quarantineAfter: 0 },
  }
  const config = resolve(given)
  for (const part of [config, config.upstreams, config.timeouts, config.limits, config.pool, config.desync]) assert(Object.isFrozen(part))
  given.upstreams.push('127.0.0.1:81')
  given.timeouts.connect = 6
  assert.equal(config.upstreams.length, 2)
  assert.equal(config.timeouts.connect, 5)
  assert.equal(config.limits.connections, 7)
  assert.equal(config.pool.waiting, 0)
})

test('whatever is given, an error is one of options and a result is within bounds', () => {
  const value = fc.oneof(fc.double(), fc.integer(), fc.string(), fc.constant(undefined))
  const name = fc.oneof(fc.constantFrom(...rows.map((row) => row.name)), fc.string())
  const group = fc.dictionary(name, value, { maxKeys: 4 })
  const given = fc.record({ timeouts: group, limits: group, pool: group, desync: group }, { requiredKeys: [] })
  fc.assert(
    fc.property(given, (options) => {
      let config: ReturnType<typeof resolveOptions>
      try {
        config = resolve(options)
      } catch (error) {
        assert.ok(error instanceof ProxyError)
        assert.equal(error.code, 'ERR_EPROXY_OPTION')
        return
      }
      for (const { group: place, name: option, row } of rows) {
        const number = (config[place] as Record<string, number>)[option]!
        assert(number >= row.min && number <= row.max)
      }
    }),
  )
})

const tcp = (host: string, port: number): Address => ({ kind: 'tcp', host, port })
const unix = (path: string): Address => ({ kind: 'unix', path })

test('addresses of upstreams are read as people write them', () => {
  const good: readonly (readonly [string, Address])[] = [
    ['127.0.0.1:3000', tcp('127.0.0.1', 3_000)],
    ['app', tcp('app', 80)],
    ['app:8080', tcp('app', 8_080)],
    ['app_1.internal:65535', tcp('app_1.internal', 65_535)],
    ['app.example.:80', tcp('app.example.', 80)],
    ['http://app', tcp('app', 80)],
    ['http://app/', tcp('app', 80)],
    ['http://app:8080/', tcp('app', 8_080)],
    ['HTTP://app:8080', tcp('app', 8_080)],
    ['[::1]:3000', tcp('::1', 3_000)],
    ['[::1]', tcp('::1', 80)],
    ['http://[2001:db8::1]:3000/', tcp('2001:db8::1', 3_000)],
    ['[::ffff:192.0.2.1]:80', tcp('::ffff:192.0.2.1', 80)],
    ['[fe80::1%eth0]:80', tcp('fe80::1%eth0', 80)],
    ['[fe80::1%br-lan]:80', tcp('fe80::1%br-lan', 80)],
    ['unix:/run/app.sock', unix('/run/app.sock')],
    ['unix:app.sock', unix('app.sock')],
    ['unix:/run/a b:80', unix('/run/a b:80')],
  ]
  for (const [text, address] of good) assert.deepEqual(parseUpstreamAddress(text), address, text)
})

test('what is not the address of an upstream is refused', () => {
  const bad = [
    '',
    ' ',
    ':80',
    ':',
    'http://',
    'http://:80',
    'http:///',
    'https://app',
    'HTTPS://app:443',
    'ftp://app',
    '//app',
    'app/path',
    'http://app/path',
    'http://app:80//',
    'http://app?query',
    'app:0',
    'app:65536',
    'app:99999',
    'app:100000',
    'app:-1',
    'app:+80',
    'app:8 0',
    'app:0x50',
    'app:80a',
    'app:80:80',
    'app:',
    '::1',
    '::1:80',
    '[::1',
    '::1]',
    '[]',
    '[]:80',
    '[::1]80',
    '[::1]:',
    '[::1]:0',
    '[1::2::3]:80',
    '[::12345]:80',
    '[cafe]:80',
    '[1.2.3.4]:80',
    '[app]:80',
    'a b',
    'app:80 ',
    ' app:80',
    'app:80\n',
    'app\r\nHost: other:80',
    'user@app:80',
    'http://user:password@app:80',
    'unix:',
  ]
  for (const text of bad) assert.throws(() => parseUpstreamAddress(text), isOptionError(''), JSON.stringify(text))
})

test('a place to listen needs a port, which may be 0, and needs no host', () => {
  const good: readonly (readonly [string, Address])[] = [
    [':8080', tcp('', 8_080)],
    [':0', tcp('', 0)],
    ['127.0.0.1:0', tcp('127.0.0.1', 0)],
    ['localhost:65535', tcp('localhost', 65_535)],
    ['[::]:80', tcp('::', 80)],
    ['unix:/run/eproxy.sock', unix('/run/eproxy.sock')],
  ]
  for (const [text, address] of good) assert.deepEqual(parseListenAddress(text), address, text)
  for (const text of [
    '',
    'localhost',
    '127.0.0.1',
    '[::1]',
    '8080',
    ':65536',
    ':-1',
    ':',
    ':80:80',
    'http://localhost:80',
    '::1',
    'unix:',
  ]) {
    assert.throws(() => parseListenAddress(text), isOptionError(''), JSON.stringify(text))
  }
})

test('an address is written as it is read', () => {
  for (const text of ['127.0.0.1:3000', 'app:80', '[::1]:80', '[fe80::1%eth0]:8080', 'unix:/run/app.sock']) {
    assert.equal(formatAddress(parseUpstreamAddress(text)), text)
  }
  const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain())
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 65_535 }), (name, port) => {
      const address = tcp(name, port)
      assert.deepEqual(parseUpstreamAddress(formatAddress(address)), address)
      assert.deepEqual(parseListenAddress(formatAddress(address)), address)
    }),
  )
})

test('any text is read or refused, and what is read can be connected to', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^(http:\/\/)?[a-z0-9.[\]:%@/]{0,20}(:[0-9]{0,6})?$/), fc.webUrl())
  fc.assert(
    fc.property(text, (input) => {
      let address: Address
      try {
        address = parseUpstreamAddress(input)
      } catch (error) {
        assert.ok(error instanceof ProxyError)
        assert.equal(error.code, 'ERR_EPROXY_OPTION')
        return
      }
      if (address.kind === 'unix') assert.notEqual(address.path, '')
      else assert(address.host !== '' && Number.isInteger(address.port) && address.port > 0 && address.port <= 65_535)
    }),
  )
})
