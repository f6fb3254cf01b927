/** The example's file with addresses of its own: everything that is named there is replaced, and nothing else. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { configurationFor, exampleAddresses, examplePath } from '../../../bench/operate/places.ts'

const places = {
  proxy: '127.0.0.1:10001',
  // One of the addresses that are replaced, for another purpose.
  servers: ['127.0.0.1:9002', '127.0.0.1:10003', '127.0.0.1:10004'],
  redis: '127.0.0.1:10005',
  admin: '127.0.0.1:10006',
  accessLog: 'unix:/a b/lines.sock',
}

test('each address of the example becomes the one that is given, in one pass', () => {
  const text = configurationFor(places)
  for (const address of [exampleAddresses.proxy, exampleAddresses.redis, exampleAddresses.admin, '127.0.0.1:9001', '127.0.0.1:9003'])
    assert.ok(!text.includes(address), address)
  for (const address of [places.proxy, places.redis, places.admin, ...places.servers]) assert.ok(text.includes(address), address)
  assert.ok(text.includes('destination: "unix:/a b/lines.sock"'))
})

test('with its own addresses the example is what it is', () => {
  const accessLog = 'here.log'
  const text = readFileSync(examplePath, 'utf8')
  assert.equal(configurationFor({ ...exampleAddresses, accessLog }), text.replace('destination: access.log', 'destination: "here.log"'))
})

test('a file that does not name an address is not the example', () => {
  assert.throws(() => configurationFor(places, 'listeners: [127.0.0.1:8080]'), /does not name 127\.0\.0\.1:9001/)
})
