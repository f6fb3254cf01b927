import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { renderBytes } from '../../lib/conformance/render-bytes.ts'

test('shows a line for each line, with its end', () => {
  assert.deepEqual(renderBytes('GET / HTTP/1.1\r\nA: b\n\r\nx'), ['GET / HTTP/1.1\\r\\n', 'A: b\\n', '\\r\\n', 'x'])
  assert.deepEqual(renderBytes(''), [])
})

test('writes out every octet that cannot be seen, and a backslash so that it cannot be taken for one', () => {
  assert.deepEqual(renderBytes('a\tb\0c\x7f\xe9\\n'), ['a\\tb\\x00c\\x7f\\xe9\\\\n'])
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
      for (const line of renderBytes(Buffer.from(octets).toString('latin1'))) assert.match(line, /^[\x20-\x7e…]*$/)
    }),
  )
})

test('counts long runs, cuts long lines and leaves out further lines, saying how much', () => {
  assert.deepEqual(renderBytes(`A: ${'x'.repeat(5_000)}\r\n`), ['A: xxx…[5000 times]\\r\\n'])
  const [long = ''] = renderBytes(`${'ab'.repeat(500)}\r\n`, { linesMax: 3, columnsMax: 80 })
  assert.match(long, /^(?:ab){30}…\[1002 bytes\]\\r\\n$/)
  assert.deepEqual(renderBytes(`${'a\r\n'.repeat(4_000)}b`), ['a\\r\\n', 'a\\r\\n', 'a\\r\\n', '… 4000 times', 'b'])
  assert.deepEqual(renderBytes('a\nb\nc\nd\n', { linesMax: 2, columnsMax: 80 }), ['a\\n', 'b\\n', '… and 4 more bytes'])
})
