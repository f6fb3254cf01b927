/**
 * The suite judges proxies; these tests judge the suite. Its case files must load, and against a plain TCP relay, which forwards
 * every byte and protects nobody, a good request must pass and an attack must be reported.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { casesFolder, expandSegments, loadCases, markerPattern, markerPlaceholder, withMarker } from '../../lib/conformance/case-format.ts'
import { RecordingOrigin } from '../../lib/conformance/recording-origin.ts'
import type { CaseResult } from '../../lib/conformance/result.ts'
import { ConformanceRunner } from '../../lib/conformance/runner.ts'
import { readText, root } from '../support/source-tree.ts'

const cases = loadCases()

/** Runs some cases against a relay; `edit` may change what goes to the client. */
async function runAgainstRelay(t: TestContext, ids: readonly string[], edit: (answer: string) => string): Promise<CaseResult[]> {
  const origin = new RecordingOrigin()
  const originPort = await origin.listen(0)
  const sockets = new Set<Socket>()
  const relay = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ host: '127.0.0.1', port: originPort, allowHalfOpen: true })
    for (const [from, to] of [[client, upstream] as const, [upstream, client] as const]) {
      sockets.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
      from.on('end', () => to.end())
      from.on('data', (chunk: Buffer) => to.write(from === upstream ? Buffer.from(edit(chunk.toString('latin1')), 'latin1') : chunk))
    }
  }).listen(0, '127.0.0.1')
  await once(relay, 'listening')
  t.after(async () => {
    for (const socket of sockets) socket.destroy()
    relay.close()
    await origin.close()
  })
  const proxy = { host: '127.0.0.1', port: (relay.address() as AddressInfo).port }
  const runner = new ConformanceRunner({ proxy, origin, originPort, concurrency: 4, timeoutMs: 5000, runMsMax: 60_000 })
  return runner.runAll(cases.filter(({ id }) => ids.includes(id)))
}

test('the cases ship with the package', () => {
  const { files } = JSON.parse(readText('package.json')) as { files: string[] }
  assert.ok(files.some((path) => casesFolder === `${root}${path}/`))
})

test('every case names a section and sends bytes that fit latin-1', () => {
  assert.ok(cases.length > 700)
  for (const { id, section, send, origin } of cases) {
    assert.match(section, /^RFC \d{4} (?:section|appendix) [A-Z0-9]+(?:\.\d+)*$/, id)
    for (const step of [...expandSegments(send), ...expandSegments(origin?.answer ?? '')]) {
      if ('bytes' in step) assert.doesNotMatch(step.bytes, /[^\0-\xff]/, id)
    }
  }
})

test('a marker takes as many bytes as its placeholder, everywhere in a case', () => {
  const [marker = ''] = 'qx00000a'.match(markerPattern) ?? []
  assert.equal(marker.length, markerPlaceholder.length)
  assert.deepEqual(withMarker({ send: [`/${markerPlaceholder}`, { repeat: markerPlaceholder, times: 2 }] }, marker), {
    send: ['/qx00000a', { repeat: 'qx00000a', times: 2 }],
  })
})

test('a relay passes where nothing has to be done and fails where a refusal is due', async (t) => {
  const good = ['basic/plain-get', 'basic/post-chunked-in-two-chunks', 'res-relay/200-chunked']
  const attacks = ['chunk-size/invalid-0x-prefix', 'cl-te/te-cl-second-request-inside-a-chunk', 'host/two-different']
  const results = await runAgainstRelay(t, [...good, ...attacks], (answer) => answer)
  const passed = results.filter((result) => result.passed).map(({ id }) => id)
  assert.deepEqual(passed.sort(), good)
  for (const { id, faults } of results.filter((result) => !result.passed)) assert.match(faults.join(), /reached the origin/, id)
})

test('a proxy that answers with the bytes of somebody else is reported as poisoned', async (t) => {
  let answerCount = 0
  const [result] = await runAgainstRelay(t, ['basic/plain-get'], (answer) => {
    answerCount += 1
    return answerCount === 1 ? answer : answer.replace(markerPattern, 'qxevil00')
  })
  assert.equal(result?.passed, false)
  assert.match(result?.faults.join() ?? '', /POISONED/)
})
