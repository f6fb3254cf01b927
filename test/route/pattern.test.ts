/** Patterns say what RegExp says, and cannot be made slow. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Pattern } from '../../lib/route/pattern.ts'

test('a pattern is for the whole text', () => {
  const users = new Pattern('/users/[0-9]+(/posts(/.*)?)?')
  for (const path of ['/users/1', '/users/123/posts', '/users/9/posts/', '/users/9/posts/a/b']) assert(users.matches(path), path)
  for (const path of ['/users/', '/users/x', '/users/1/', '/users/1/postsx', 'x/users/1', '/users/1\n', ''])
    assert(!users.matches(path), path)
  assert(new Pattern('^/a$').matches('/a'))
  assert(new Pattern('').matches(''))
  assert(!new Pattern('').matches('a'))
  assert(new Pattern('a{2,3}?').matches('aaa') && !new Pattern('a{2,3}').matches('a') && !new Pattern('a{2,3}').matches('aaaa'))
  assert(new Pattern('\\x41\\.\\/[^/]').matches('A./b'))
})

test('what needs going back, or has no meaning, is refused in words', () => {
  const refusals: readonly (readonly [string, RegExp])[] = [
    ['(', /nothing closes/],
    ['a)', /nothing opens/],
    ['[a', /nothing closes/],
    ['*', /nothing to repeat/],
    ['a**', /repeated again/],
    ['a{2', /begins no count/],
    ['a{3,2}', /wrong way round/],
    ['(?=a)b', /look-around/],
    ['(?i)b', /flags/],
    ['(a)\\1', /back references/],
    ['\\bx', /boundaries/],
    ['\\', /back references|no meaning/],
    ['\\y', /no meaning/],
    ['[b-a]', /no meaning/],
    ['a^b', /ends of the expression/],
    ['caf\u00e9', /percent-encoded/],
    ['a'.repeat(2_000), /longer than/],
    ['(.{1000}){1000}', /more than 1024 places/],
    ['(((){9999}){9999}|a)(.?){1000}x{1000}', /more than/],
    [`(${Array.from({ length: 100 }, () => 'a').join('|')})*`, /ways open/],
  ]
  for (const [text, message] of refusals) {
    assert.throws(() => new Pattern(text), { code: 'ERR_EPROXY_OPTION', message }, text)
  }
})

test('patterns that keep RegExp busy for ever are done at once', () => {
  const run = 'a'.repeat(8_000)
  for (const text of ['(a+)+b', '(a|a)*b', '(a*)*(a*)*b', '.*.*.*.*.*.*.*.*b', '([a-z]+)*[A-Z]', '(a?){30}a{30}b']) {
    // A watchdog would only say that the machine is slow: here not ending is what would fail.
    assert.equal(new Pattern(text).matches(run), false, text)
  }
})

test('agrees with RegExp', () => {
  const leaf = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '\\d', '\\w', '[a-c]', '\\.', '/', '\\x62', '\\W')
  const count = fc.constantFrom('*', '+', '?', '{2}', '{0}', '{1,}', '{0,2}', '{2,3}', '*?', '+?')
  const { expression } = fc.letrec<{ expression: string }>((tie) => ({
    expression: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc.tuple(tie('expression'), tie('expression')).map((parts) => parts.join('')),
      fc.tuple(tie('expression'), tie('expression')).map(([left, right]) => `(${left}|${right})`),
      fc.tuple(tie('expression'), count).map(([part, times]) => `(?:${part})${times}`),
      fc.tuple(leaf, count).map((parts) => parts.join('')),
      tie('expression').map((part) => `(${part}|)`),
    ),
  }))
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '/', '.', '1', '\u00e9'), maxLength: 7 })
  fc.assert(
    fc.property(expression, fc.array(text, { minLength: 1, maxLength: 12 }), (source, texts) => {
      const pattern = new Pattern(source)
      const oracle = new RegExp(`^(?:${source})$`, 's')
      for (const one of texts) assert.equal(pattern.matches(one), oracle.test(one), `${source} on ${JSON.stringify(one)}`)
    }),
    { numRuns: 2_000 },
  )
})
