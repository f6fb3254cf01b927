/** Which fields a route may change, what is said of those that it may not, and what its values become. */
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { checkFieldEdits, findEditFault, findValueFault } from '../../lib/policy/field-edits.ts'
import { fieldVariables, fillTemplate, parseTemplate, type FieldVariables } from '../../lib/policy/field-template.ts'

test('framing, fields of the hop and those that HTTP acts on cannot be changed, and the reason is told', () => {
  for (const name of [
    'Content-Length',
    'transfer-encoding',
    'Trailer',
    'TE',
    'Connection',
    'Keep-Alive',
    'Proxy-Connection',
    'Upgrade',
    'Via',
  ]) {
    for (const side of ['request', 'response'] as const)
      for (const action of ['remove', 'set', 'add'] as const) {
        assert.match(findEditFault(side, action, name, 'x'), new RegExp(`^${name} cannot be changed: [a-z]`))
      }
  }
  assert.match(findEditFault('request', 'set', 'Host', 'a'), /^Host cannot be changed: .*host of the group/)
  assert.match(findEditFault('request', 'remove', 'Expect', ''), /cannot be changed/)
  assert.match(findEditFault('response', 'remove', 'Date', ''), /cannot be changed/)
  assert.equal(findEditFault('response', 'set', 'Host', 'a'), '')
  assert.equal(findEditFault('request', 'remove', 'Cookie', ''), '')
})

test('a second line of what tells of the client cannot be added', () => {
  assert.match(findEditFault('request', 'add', 'X-Forwarded-For', '1.2.3.4'), /write it under set/)
  assert.equal(findEditFault('request', 'set', 'X-Forwarded-Proto', 'https'), '')
  assert.equal(findEditFault('response', 'add', 'X-Forwarded-For', '1.2.3.4'), '')
})

test('names are tokens, values hold no control character and no unknown variable', () => {
  assert.match(findEditFault('request', 'set', 'X Y', 'a'), /not a field name/)
  assert.match(findEditFault('request', 'remove', '', ''), /not a field name/)
  assert.match(findValueFault('a\r\nB: c', 'it'), /control character at position 2/)
  assert.match(findValueFault('a\0', 'it'), /control character at position 2/)
  assert.match(findValueFault('caf\xe9', 'it'), /outside ASCII at position 4/)
  assert.match(findValueFault(' a', 'it'), /white space/)
  assert.match(findValueFault('{client_ipp}', 'it'), /\{client_ipp\} in it is not known; there are \{client_ip\}/)
  assert.equal(findValueFault('{"json": {client_ip}, "b": {}}', 'it'), '')
})

test('one name stands once under one action', () => {
  const edits = { remove: ['X-A'], set: { 'X-a': '1' }, add: { 'x-A': '2' } }
  checkFieldEdits('request', edits, 'route r')
  assert.throws(() => checkFieldEdits('request', { ...edits, set: { 'X-a': '1', 'x-a': '2' } }, 'route r'), {
    code: 'ERR_EPROXY_OPTION',
    message: 'route r.set: x-a stands there twice',
  })
})

test('a template is its text with the facts in place of the names in braces', () => {
  const facts: FieldVariables = {
    client_ip: '192.0.2.1',
    client_port: '4711',
    host: 'a.test',
    request_id: 'id1',
    route: 'shop',
    upstream: 'app',
    scheme: 'https',
  }
  const fill = (text: string): string => fillTemplate(parseTemplate(text), facts)
  assert.equal(fill(''), '')
  assert.equal(fill('{scheme}://{host}/{route}'), 'https://a.test/shop')
  assert.equal(fill('{client_ip}:{client_port}{{upstream}}'), '192.0.2.1:4711{app}')
  assert.equal(fill('{"id": "{request_id}"}'), '{"id": "id1"}')
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constantFrom(...fieldVariables.map((name) => `{${name}}`)), fc.string({ maxLength: 5 }))), (parts) => {
      const text = parts.join('')
      const slow = fieldVariables.reduce((result, name) => result.split(`{${name}}`).join(`\0${name}\0`), text)
      const wanted = slow.split('\0').map((part, index) => (index % 2 === 1 ? facts[part as keyof FieldVariables] : part))
      if (!text.includes('\0')) assert.equal(fill(text), wanted.join(''))
    }),
  )
})
