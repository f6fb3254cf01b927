/** `eproxy-raw conformance` and `eproxy-raw explain` as child processes: what goes where, exit codes, and what is left behind. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { test } from 'node:test'
import { loadCases } from '../../lib/conformance/case-format.ts'
import { NodeOrigin } from '../support/node-origin.ts'
import { findFreePort } from '../support/program.ts'
import { RunningCommand, RunningProxy } from '../support/running-command.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

/** However long it takes: a suite is no single step. */
async function run(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = new RunningCommand(args)
  const code = await child.exitCode
  return { code, stdout: child.stdoutText, stderr: child.stderrText }
}

test('a fresh eproxy passes; the report ends in one line, exit code 0', async () => {
  const { code, stdout, stderr } = await run('conformance', 'basic', 'host/two-*', 'via-forwarded')
  assert.match(
    stdout,
    /^23 cases against a fresh eproxy on 127\.0\.0\.1:\d+, run with --forwarded x-forwarded --reuse-after-body anyone --desync-quarantine-after 0\n/,
  )
  assert.match(stdout, /^ {2}basic +5 of +5$/m)
  assert.match(stdout, /\n23 passed, 0 failed in [\d.]+ s\n$/)
  assert.deepEqual({ code, stderr }, { code: 0, stderr: '' })
})

test('a proxy that fails is reported with bytes, expectation, section and reason, exit code 1', async () => {
  // A relay of bytes protects nobody.
  const originPort = await findFreePort()
  await using relay = await startRelay(originPort)
  const target = ['--target', `127.0.0.1:${relay.port}`, '--origin-port', String(originPort)]
  using folder = new TemporaryFolder()
  const files = ['--json', folder.file('report.json'), '--junit', folder.file('report.xml')]
  const { code, stdout } = await run('conformance', ...target, ...files, 'basic/plain-get', 'host/two-different', 'via-forwarded')
  assert.equal(code, 1)
  assert.match(stdout, /^FAIL {2}host\/two-different {2}RFC 9112 section 3\.2$/m)
  assert.match(stdout, /^ {2}sent\n {4}GET \/qx[0-9a-z]{6} HTTP\/1\.1\\r\\n$/m)
  assert.match(stdout, /^ {2}seen by the origin \(\d+ bytes\)\n {4}GET /m)
  assert.match(stdout, /^ {2}expected\n {4}the proxy answers 400 in its own name/m)
  assert.match(stdout, /^ {2}why\n {4}- reached the origin/m)
  assert.match(stdout, /eproxy-raw explain H1-HOST-MULTIPLE$/m)
  assert.match(stdout, /^ +3 not judged: the proxy writes no X-Forwarded-For$/m)
  assert.match(stdout, /^ +1 not judged: the proxy writes no Via$/m)
  const report = JSON.parse(readFileSync(folder.file('report.json'), 'utf8'))
  assert.equal(report.leftOut.length, 4)
  assert.equal(report.results.find((result: { id: string }) => result.id === 'basic/plain-get').passed, true)
  assert.match(readFileSync(folder.file('report.xml'), 'utf8'), /<failure message="[^"]*reached the origin/)
})

test('JSON on standard output is alone there', async () => {
  const { code, stdout, stderr } = await run('conformance', '--json', '-', 'basic')
  const report = JSON.parse(stdout)
  assert.deepEqual([code, report.passed, report.failed, report.groups], [0, 5, 0, [{ group: 'basic', passed: 5, failed: 0, leftOut: 0 }]])
  assert.match(stderr, /5 passed, 0 failed/)
})

test('a server is judged from one side: the embedded origin passes, a server that refuses nothing fails', async () => {
  await using proxy = await RunningProxy.start(['--workers', '1'])
  const good = await run('conformance', '--server', `127.0.0.1:${proxy.port}`, 'basic', 'host', 'cl-te', 'res-extra')
  assert.match(good.stdout, / 0 failed, 8 not judged in /)
  assert.equal(good.code, 0)
  await using lax = await NodeOrigin.start((request, response) => request.resume().on('end', () => response.end('ok')))
  const bad = await run('conformance', '--server', lax.address, 'basic', 'host/two-different')
  assert.match(bad.stdout, /^ {2}expected\n {4}refused as a message \(400, /m)
  assert.match(bad.stdout, /^ {4}- accepted with 200$/m)
  assert.match(bad.stdout, /^5 passed, 1 failed/m)
  assert.equal(bad.code, 1)
})

test('--list shows ids, sections and titles, and --all describes what passed', async () => {
  const { code, stdout } = await run('conformance', '--list', 'host')
  assert.equal(code, 0)
  assert.equal(stdout.trimEnd().split('\n').length, loadCases().filter(({ group }) => group === 'host').length)
  assert.match(stdout, /^host\/missing +RFC 9112 section 3\.2 +no Host at all$/m)
  assert.match((await run('conformance', '--all', 'plain-get')).stdout, /^PASS {2}basic\/plain-get {2}RFC 9112 section 3$/m)
})

test('a pattern that no case fits is a wrong argument, a subject that does not answer is not', async () => {
  assert.deepEqual(await run('conformance', 'hots'), {
    code: 2,
    stdout: '',
    stderr: 'eproxy-raw: no case fits hots; did you mean host?\n',
  })
  const port = await findFreePort()
  const { code, stderr } = await run('conformance', '--server', `127.0.0.1:${port}`, 'basic')
  assert.deepEqual([code, stderr], [1, `eproxy-raw: cannot talk to 127.0.0.1:${port}: ECONNREFUSED\n`])
})

test('a rule is explained on standard output, an unknown one is a wrong argument', async () => {
  const { code, stdout, stderr } = await run('explain', 'h1-cl-and-te')
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(stdout, /^H1-CL-AND-TE {2}status 400, 502 for a response\n/)
  assert.equal((await run('explain', 'nonsense')).code, 2)
})

async function startRelay(originPort: number): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((client) => {
    const upstream = net.connect({ host: '127.0.0.1', port: originPort })
    for (const [from, to] of [[client, upstream] as const, [upstream, client] as const]) {
      sockets.add(from)
      from.on('error', () => to.destroy()).on('close', () => to.destroy())
      from.pipe(to)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as net.AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
