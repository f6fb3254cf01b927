/** Looking at the states of llhttp does not change what it does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { llhttpStates, watchLlhttp } from '../../fuzz/llhttp-states.ts'
import { llhttpBase64, llhttpSha256 } from '../../native-free-parser/wasm/llhttp-bytes.ts'

const steps: [from: number, to: number][] = []
const { Instance: PlainInstance } = WebAssembly
watchLlhttp(llhttpSha256, (from, to) => void steps.push([from, to]))
// The engine compiles its module when it is loaded: only now.
const { createParser, ParserEngine } = await import('../../native-free-parser/index.ts')

function read(raw: string, pieceBytes: number): { log: string[]; steps: [from: number, to: number][] } {
  steps.length = 0
  const log: string[] = []
  const parser = createParser(
    'request',
    {
      onHead: (head) => void log.push(JSON.stringify([head.method, head.target, head.toRawFields()])),
      onBody: (bytes, start, end) => void log.push(Buffer.from(bytes.subarray(start, end)).toString('latin1')),
      onTrailers: () => {},
      onMessageComplete: () => void log.push('complete'),
    },
    undefined,
    new ParserEngine({ slots: 1 }),
  )
  const bytes = Buffer.from(raw, 'latin1')
  try {
    for (let at = 0; at < bytes.length;) {
      at += parser.execute(bytes, at, Math.min(bytes.length, at + pieceBytes))
      if (log.at(-1) === 'complete') parser.resume()
    }
  } catch (error) {
    log.push((error as Error).message)
  }
  parser.dispose()
  return { log, steps: [...steps] }
}

const request = 'POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi'

test('every octet of a head is a step, however it is split', () => {
  const whole = read(request, 1_000)
  assert.deepEqual(whole.log, ['["POST","/p",["Host","a","Content-Length","2"]]', 'hi', 'complete'])
  assert.equal(whole.steps.length, request.indexOf('\r\n\r\n') + 4, 'and no octet of a body')
  for (const [index, [from, to]] of whole.steps.entries()) {
    assert(from <= llhttpStates && to <= llhttpStates, `${from} to ${to}`)
    if (index > 0) assert.equal(from, whole.steps[index - 1]![1])
  }
  for (const pieceBytes of [1, 2, 7]) assert.deepEqual(read(request, pieceBytes).steps, whole.steps)
})

test('a fault is a step too, and what is behind it none', () => {
  const { log, steps: seen } = read('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2,\r\n\r\n', 1_000)
  assert.equal(log.length, 1)
  // The engine reads a faulty head a second time, up to the fault, to say what is wrong with it.
  const second = seen.findIndex(([from], index) => index > 0 && from !== seen[index - 1]![1])
  assert.equal(second, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2,'.length)
})

test('other modules are left alone', () => {
  // Another hash: a section of no meaning at the end.
  const other = Buffer.concat([Buffer.from(llhttpBase64, 'base64'), Buffer.from([0, 2, 1, 0x61])])
  const env = Object.fromEntries(
    ['message_begin', 'url', 'status', 'header_field', 'header_value', 'headers_complete', 'body', 'message_complete'].map((name) => [
      `wasm_on_${name}`,
      () => 0,
    ]),
  )
  const instance = new WebAssembly.Instance(new WebAssembly.Module(other), { env })
  assert(instance instanceof PlainInstance)
  const exports = instance.exports as Record<'malloc' | 'llhttp_alloc' | 'llhttp_execute', (...args: number[]) => number>
  const { memory } = instance.exports as { memory: WebAssembly.Memory }
  steps.length = 0
  const address = exports.malloc(64)
  new Uint8Array(memory.buffer).set(Buffer.from('GET / '), address)
  assert.equal(exports.llhttp_execute(exports.llhttp_alloc(1), address, 6), 0)
  assert.deepEqual(steps, [])
})
