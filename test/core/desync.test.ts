/** What is said of bytes that answer no request. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { classifyStray, desyncTable, zeroDesyncCounts, type DesyncKind } from '../../lib/core/desync.ts'

test('bytes that answer no request are told apart by how they begin', () => {
  // oxfmt-ignore
  const cases: [bytes: string, onIdle: DesyncKind, behindResponse: DesyncKind][] = [
    ['\n', 'stray-newlines', 'stray-newlines'],
    ['\r\n\r\n', 'stray-newlines', 'stray-newlines'],
    ['0', 'idle-bytes', 'excess-bytes'],
    ['\0', 'idle-bytes', 'excess-bytes'],
    ['HTT', 'idle-bytes', 'excess-bytes'],
    [' HTTP/1.1 200 OK', 'idle-bytes', 'excess-bytes'],
    ['http/1.1 200 OK', 'idle-bytes', 'excess-bytes'],
    ['\r\nbody', 'idle-bytes', 'excess-bytes'],
    ['HTTP/', 'excess-response', 'excess-response'],
    ['HTTP/1.1 200 OK\r\n\r\n', 'excess-response', 'excess-response'],
    ['\r\n\nHTTP/1.0 400 Bad Request\r\n\r\n', 'excess-response', 'excess-response'],
    ['HTTP/1.1 40', 'excess-response', 'excess-response'],
    ['HTTP/1.1 408', 'idle-timeout', 'excess-response'],
    ['\r\nHTTP/1.0 408 Request Timeout\r\n\r\n', 'idle-timeout', 'excess-response'],
  ]
  for (const [text, onIdle, behindResponse] of cases) {
    // Only what lies between the two offsets counts.
    const bytes = Buffer.from(`HTTP/1.1 200\r\n${text}HTTP/1.1 408`, 'latin1')
    const [start, end] = [14, 14 + text.length]
    assert.equal(classifyStray(bytes, start, end, true), onIdle, JSON.stringify(text))
    assert.equal(classifyStray(bytes, start, end, false), behindResponse, JSON.stringify(text))
  }
})

test('what a healthy server does too is no proof', () => {
  const hints = Object.entries(desyncTable).filter(([, row]) => !row.isEvidence)
  assert.deepEqual(
    hints.map(([kind]) => kind),
    ['refusal-after-reuse', 'early-response', 'idle-timeout', 'stray-newlines'],
  )
})

test('counts begin at 0, and each holder has its own', () => {
  const counts = zeroDesyncCounts()
  counts['idle-bytes']++
  assert.deepEqual(Object.keys(zeroDesyncCounts()), Object.keys(desyncTable))
  assert(Object.values(zeroDesyncCounts()).every((count) => count === 0))
})
