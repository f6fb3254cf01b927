/** The JSON Schema for editors, judged by a validator of others, and what is said of each key. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { parse } from 'yaml'
import { jsonSchema, keysAt, listKeys } from '../../lib/config/keys.ts'
import { interpret } from '../../lib/config/load.ts'

const examplePath = fileURLToPath(new URL('../../../lib/config/example.yaml', import.meta.url))
const validate = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true }).compile(jsonSchema())

test('the example is valid, for the schema and for us', () => {
  const text = fs.readFileSync(examplePath, 'utf8')
  assert(validate(parse(text)), JSON.stringify(validate.errors))
  const { service, admin, accessLog } = interpret({ path: 'example.yaml', overrides: [], environment: {} }, text).configuration
  assert.deepEqual(Object.keys(service.groups), ['app', 'api'])
  assert.equal(service.rateLimitStore?.url, 'redis://127.0.0.1:6379')
  assert.equal(admin?.address, '127.0.0.1:9090')
  assert.equal(accessLog?.destination, '-')
})

test('what the schema can see, it refuses', () => {
  const good = { upstreams: { app: ['127.0.0.1:1'] } }
  assert(validate(good))
  for (const fault of [
    { upstream: {} },
    { ...good, timeouts: { queue: 10 } },
    { ...good, timeouts: { queue: '10' } },
    { ...good, timeouts: { kueue: '10s' } },
    { ...good, limits: { requestHeadBytes: '32s' } },
    { ...good, limits: { connections: 0 } },
    { ...good, workers: true },
    { ...good, profile: 'egde' },
    { ...good, routes: {} },
    { ...good, routes: [{ upstream: 'app', rules: { 'H1-NULL': 'warn' } }] },
    { upstreams: { app: [] } },
    { upstreams: { app: { servers: ['a:1'], balance: 'rr' } } },
    { ...good, rateLimits: { a: { per: '1s' } } },
    { ...good, accessLog: 5 },
  ])
    assert(!validate(fault), JSON.stringify(fault))
})

test('every key says what it is', () => {
  const rows = listKeys()
  assert(rows.length > 80, `there are ${rows.length} keys`)
  assert.deepEqual(
    rows.filter(({ doc, kind }) => doc === '' || kind === '').map(({ key }) => key),
    [],
  )
  assert.equal(new Set(rows.map(({ key }) => key)).size, rows.length)
  assert(keysAt(['upstreams', 'app']).includes('slowStart'))
  assert(keysAt(['routes', 3, 'match']).includes('host'))
  assert(keysAt(['timeouts']).includes('requestHead'))
})
