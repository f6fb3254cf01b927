/** Values by host: the same as a map that is asked with `readHost`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HostTable } from '../../lib/route/host-table.ts'
import { readHost } from '../../lib/route/host.ts'
import { parseRequestHead } from '../support/parsed-head.ts'

const label = fc.stringMatching(/^[ab0-]{1,3}$/)
const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'))
/** As clients write it: any case, with or without the dot at the end, and with a port, an empty one, or none. */
const written = fc
  .tuple(name, fc.boolean(), fc.constantFrom('', '.', '..'), fc.constantFrom('', ':', ':80'))
  .map(([text, isUpperCase, dots, port]) => (isUpperCase ? text.toUpperCase() : text) + dots + port)

test('a table of hosts finds what a map finds that is asked with the name', () => {
  fc.assert(
    fc.property(fc.uniqueArray(name, { maxLength: 40 }), fc.array(written, { minLength: 1, maxLength: 20 }), (names, hosts) => {
      const map = new Map(names.map((text, index) => [text, index]))
      const table = new HostTable(map)
      for (const host of [...hosts, ...names]) {
        const plain = parseRequestHead(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
        assert.equal(table.find(plain), map.get(readHost(plain)), host)
        const absolute = parseRequestHead(`GET http://${host}/x HTTP/1.1\r\nHost: ${names[0] ?? 'a'}\r\n\r\n`)
        assert.equal(table.find(absolute), map.get(readHost(absolute)), host)
      }
    }),
  )
})

test('a request of 1.0 without Host is for no host', () => {
  assert.equal(new HostTable(new Map([['a', 1]])).find(parseRequestHead('GET / HTTP/1.0\r\n\r\n')), undefined)
})
