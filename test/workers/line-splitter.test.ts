import assert from 'node:assert/strict'
import test from 'node:test'
import { LineSplitter } from '../../lib/workers/line-splitter.ts'

function split(chunks: readonly string[]): string[] {
  const lines: string[] = []
  const splitter = new LineSplitter((line) => lines.push(line))
  for (const chunk of chunks) splitter.take(Buffer.from(chunk, 'latin1'))
  return lines
}

test('lines come out whole however they are cut, and an unfinished one does not', () => {
  const text = 'one\n\ntw\xe9\nthree\nunfini'
  const expected = ['one\n', '\n', 'tw\xe9\n', 'three\n']
  for (let cut = 0; cut <= text.length; cut++) assert.deepEqual(split([text.slice(0, cut), text.slice(cut)]), expected)
  assert.deepEqual(split(text.split('')), expected)
})

test('a line beyond all measure is dropped without being kept, and the next one is not', () => {
  const piece = 'x'.repeat(65_536)
  assert.deepEqual(split(['a\n', ...Array<string>(20).fill(piece), 'end\nb\n']), ['a\n', 'b\n'])
})
