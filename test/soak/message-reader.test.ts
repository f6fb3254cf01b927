/** The reader of the soak's peers: the same messages however they are cut, and a fault for everything that is not canonical. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MessageFault, MessageReader } from './message-reader.ts'

/** What a reader makes of a stream, in one line for each message. */
function read(kind: 'request' | 'response', text: string, pieceBytes = text.length, bodyless = false): string[] {
  const messages: string[] = []
  let current = ''
  const reader = new MessageReader(kind, {
    onHead: ({ startLine }) => {
      current = startLine
      return bodyless ? 'bodyless' : 'framed'
    },
    onBody: (bytes) => (current += bytes.toString('latin1')),
    onComplete: (trailers) => void messages.push(`${current}|${trailers}`),
  })
  for (let at = 0; at < text.length; at += pieceBytes) reader.push(Buffer.from(text.slice(at, at + pieceBytes), 'latin1'))
  reader.end()
  return messages
}

const responses =
  'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\nX-End: 1\r\n\r\n' +
  'HTTP/1.1 200 OK\r\n\r\nto the end'

test('messages are the same in pieces of any size', () => {
  const whole = ['HTTP/1.1 200 OKabc|', 'HTTP/1.1 200 OKdef|X-End: 1\r\n', 'HTTP/1.1 200 OKto the end|']
  for (let pieceBytes = 1; pieceBytes <= responses.length; pieceBytes++) assert.deepEqual(read('response', responses, pieceBytes), whole)
})

test('a message may have no body in spite of its fields', () => {
  const heads = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n'.repeat(2)
  assert.equal(read('response', heads, 7, true).length, 2)
})

test('what a careful sender does not write is a fault', () => {
  for (const [kind, text] of [
    ['response', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['response', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n'],
    ['response', 'HTTP/1.1 200 OK\r\nContent-Length: 03\r\n\r\n'],
    ['response', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a\r\n'],
    ['response', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n'],
    ['response', 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\n\r\n'],
    ['response', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab'],
    ['response', 'HTTP/1.1 200 OK\r\nX : 1\r\n\r\n'],
    ['response', 'HTTP/2 200\r\n\r\n'],
    ['request', 'GET / HTTP/1.0\r\n\r\n'],
    ['request', 'GET / HTTP/1.1\r\nX: 1\r\n folded\r\n\r\n'],
    ['request', 'GET / HTTP/1.1\r\nX:1\r\n\r\n'],
    ['request', 'GET / HTTP/1.1\r\nHost: '],
  ] as const)
    assert.throws(() => read(kind, text), MessageFault, text)
})
