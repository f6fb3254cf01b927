/** The JSON Schema for editors, judged by a validator of others, and what is said of each key. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { parse } from 'yaml'
import { jsonSchema, keysAt, listKeys } from '../../lib/config/keys.ts'
import { toObjections } from '../../lib/config/issue-words.ts'
import { interpret } from '../../lib/config/load.ts'
import { fileSchema } from '../../lib/config/schema.ts'

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

type Json = ReturnType<typeof jsonSchema>
type Steps = readonly (string | number)[]

/** What a section has to have, so that a mistake at one of its keys is told there. */
const required: Readonly<Record<string, unknown>> = {
  address: '127.0.0.1:1',
  servers: ['127.0.0.1:1'],
  upstream: 'app',
  url: 'redis://h:1',
  requests: 1,
  destination: '-',
  location: '/',
  prefix: '/',
}

/** Every place where a text or a number can stand by itself, and a file with a value there. */
function* leavesOf(schema: Json, steps: Steps = [], wrap = (value: unknown): unknown => value): Generator<[Json, Steps, typeof wrap]> {
  const forms = schema.anyOf ?? [schema]
  if (
    !forms.some(
      ({ properties, items, additionalProperties, anyOf }) => properties ?? items ?? anyOf ?? typeof additionalProperties === 'object',
    )
  )
    yield [schema, steps, wrap]
  for (const form of forms) {
    const needs = (form as { required?: readonly string[] }).required ?? []
    for (const [name, own] of Object.entries(form.properties ?? {})) {
      const siblings = Object.fromEntries(needs.filter((key) => key !== name && key in required).map((key) => [key, required[key]]))
      yield* leavesOf(own, [...steps, name], (value) => wrap({ ...siblings, [name]: value }))
    }
    const key = steps.at(-1) === 'errorPages' ? '404' : 'app'
    if (typeof form.additionalProperties === 'object')
      yield* leavesOf(form.additionalProperties, [...steps, key], (value) => wrap({ [key]: value }))
    if (form.items !== undefined) yield* leavesOf(form.items, [...steps, 0], (value) => wrap([value]))
    if (schema.anyOf !== undefined && form.anyOf !== undefined) yield* leavesOf(form, steps, wrap)
  }
}

test('what the schema accepts where it has a pattern is accepted, but for how much it is, and it refuses nothing else', () => {
  const ajv = new Ajv2020({ strict: true, allowUnionTypes: true })
  const leaves = [...leavesOf(jsonSchema())].filter(([{ pattern }]) => pattern !== undefined)
  assert(leaves.length > 150, `there are ${leaves.length}`)
  const unit = fc.constantFrom('', '%', 's', 'ms', 'm', 'h', 'd', 'k', 'M', 'g', '/s', 'k/s', 'xx', '/10s')
  const small = fc.oneof(fc.nat(12), fc.nat(1_000), fc.double({ min: -100, max: 1_000, noNaN: true }), fc.constantFrom(0, 0.5, 1, 1.5, 100))
  const number = fc.oneof(small, fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }))
  const value = fc.oneof(
    number,
    fc.tuple(small, unit).map((parts) => parts.join('')),
    fc.tuple(small, unit, fc.nat(99), unit).map((parts) => parts.join('')),
    fc.constantFrom(
      '',
      ' ',
      'a',
      'a b',
      '/',
      '/a',
      '/*',
      'a.example',
      '*.a',
      'GET',
      'get',
      'X-A',
      'ä',
      '-',
      '404',
      '5xx',
      '/{path}',
      '/{no}',
      'a\n',
    ),
    fc.string({ maxLength: 4 }),
  )
  for (const [index, [schema, steps, wrap]] of leaves.entries()) {
    const accepts = ajv.compile(schema)
    fc.assert(
      fc.property(value, (given) => {
        const file = wrap(given)
        const faults = toObjections(fileSchema.safeParse(file).error?.issues ?? [], file, keysAt).filter(
          ({ steps: at }) => at.join() === steps.join(),
        )
        const messages = faults.map(({ message }) => message).join()
        // How much a text with a unit amounts to, a schema cannot tell.
        if (typeof given === 'string' && messages.startsWith('must be from')) return
        assert.equal(accepts(given), faults.length === 0, `${steps.join('.')}: ${JSON.stringify(given)}: ${messages}`)
      }),
      { numRuns: 20, seed: index },
    )
  }
})
