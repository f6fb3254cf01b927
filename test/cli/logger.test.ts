import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import fc from 'fast-check'
import { escapeControls } from '../../lib/cli/logger.ts'

test('writes JSON lines on standard error when that is no terminal', async () => {
  const lines = (await logLines('info', 'auto')).map((line) => JSON.parse(line))
  assert.deepEqual(
    lines.map(({ level, msg }) => [level, msg]),
    [
      ['info', 'plain é'],
      ['error', 'failed \u001b[31m'],
    ],
  )
  assert.match(lines[0].time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  assert.equal(lines[0].peer, '\u009b2J')
  assert.match(lines[1].err.message, /^outer: inner/)
  assert.match(lines[1].err.stack, /caused by: Error: inner/)
})

test('keeps to its level', async () => {
  assert.equal((await logLines('error', 'json')).length, 1)
  assert.equal((await logLines('silent', 'json')).length, 0)
  assert.equal((await logLines('trace', 'json')).length, 3)
})

test('writes lines for people without letting control characters of a peer reach the terminal', async () => {
  const text = (await logLines('info', 'pretty')).join('\n')
  assert.match(text, /INFO: plain é/)
  assert.match(text, /ERROR: failed \\u001b\[31m/)
  assert.doesNotMatch(text.replaceAll('\n', ''), /[\u0000-\u001f\u007f-\u009f]/)
})

test('escapes every control character in a JSON line but line ends, and leaves the rest as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = JSON.parse(escapeControls(JSON.stringify({ text }))).text
      assert.doesNotMatch(shown, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
      const plain = text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '')
      if (plain === text) assert.equal(shown, text)
    }),
    { numRuns: 500 },
  )
})

/** What a process logs that ends at once after three lines, without waiting for its log. */
async function logLines(level: string, format: string): Promise<string[]> {
  const module = new URL('../../lib/cli/logger.js', import.meta.url).href
  const script = `
    const { createLogger } = await import(${JSON.stringify(module)})
    const logger = await createLogger(${JSON.stringify(level)}, ${JSON.stringify(format)})
    logger.info({ peer: '\\u009b2J' }, 'plain é')
    logger.error({ err: new Error('outer', { cause: new Error('inner') }) }, 'failed \\u001b[31m')
    logger.trace({}, 'detail')
    process.exit(0)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'ignore', 'pipe'] })
  let text = ''
  for await (const chunk of child.stderr.setEncoding('utf8')) text += chunk
  return text.split('\n').filter((line) => line !== '')
}
