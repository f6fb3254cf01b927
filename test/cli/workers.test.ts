/** The command with several workers: what their logs say, and what becomes of them when things end that should not. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import http from 'node:http'
import { describe, test } from 'node:test'
import { until } from '../support/patience.ts'
import { RawClient, get as rawGet } from '../support/raw-client.ts'
import { isMissing, runCommand } from '../support/program.ts'
import { get, mainPath, RunningProxy, runToEnd } from '../support/running-command.ts'
import { SlowOrigin } from '../support/slow-origin.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

const two = ['--workers', '2', '--log-level', 'debug']
/** Code that runs in workers only, before anything else. */
const inWorkers = (code: string): string[] => [
  `--import=data:text/javascript,${encodeURIComponent(`if (process.send !== undefined) { ${code} }`)}`,
]

describe('logs', () => {
  // Longer than what a pipe takes in one piece.
  const targets = Array.from({ length: 400 }, (_value, index) => `/${index}/${'%22'.repeat(index % 4 === 0 ? 2_000 : 1)}`)
  const longLines = [...two, '--limit-request-line-bytes', '16k']

  test('of all workers go to a file, and no line is torn by another', async () => {
    using folder = new TemporaryFolder()
    const file = folder.file('access.log')
    await using proxy = await RunningProxy.start([...longLines, '--access-log', file])
    await requestAll(proxy.port, targets)
    proxy.child.process.kill('SIGTERM')
    assert.equal(await proxy.child.exitCode, 0)
    assertLog(fs.readFileSync(file, 'latin1'), targets)
  })

  test('of all workers go to standard output, and no line is torn by another', async () => {
    await using proxy = await RunningProxy.start([...longLines, '--access-log', '-'])
    await requestAll(proxy.port, targets)
    proxy.child.process.kill('SIGTERM')
    assert.equal(await proxy.child.exitCode, 0)
    assertLog(proxy.child.stdoutText, targets)
  })

  test('of all workers go through a named pipe, and no line is torn by another', { skip: isMissing('mkfifo', 'cat') }, async () => {
    using folder = new TemporaryFolder()
    const pipe = folder.file('access.pipe')
    await runCommand('mkfifo', [pipe])
    const read = runCommand('cat', [pipe])
    // Who opens such a pipe to write finds nobody there until the reader has opened it.
    const holder = fs.openSync(pipe, 'w')
    await using proxy = await RunningProxy.start([...longLines, '--access-log', pipe])
    fs.closeSync(holder)
    await requestAll(proxy.port, targets)
    proxy.child.process.kill('SIGTERM')
    assert.equal(await proxy.child.exitCode, 0)
    assertLog((await read).stdout.toString('latin1'), targets)
  })

  test('name the worker that says something', async () => {
    await using proxy = await RunningProxy.start(two)
    const client = await RawClient.connect(`127.0.0.1:${proxy.port}`)
    assert.equal((await client.exchange('GET / HTTP/1.1\r\n\r\n')).status, 400)
    client.destroy()
    const line = JSON.parse(await proxy.child.said(/request refused/)) as { worker: number; pid: number }
    assert.ok(line.worker === 1 || line.worker === 2)
    assert.notEqual(line.pid, proxy.child.process.pid)
    proxy.child.process.kill('SIGTERM')
    const stopped = JSON.parse(await proxy.child.said(/"stopped"/)) as Record<string, number>
    assert.equal(stopped['connectionsTotal'], 1)
    assert.equal(stopped['refusedTotal'], 1)
  })
})

describe('a start that fails', () => {
  test('because a worker ends says so in one line, exit code 1', async () => {
    const result = await runToEnd(['--listen', '127.0.0.1:0', '--workers', '2', '--log-level', 'fatal'], inWorkers('process.exit(7)'))
    assert.equal(result.code, 1)
    assert.match(result.stderr, /^eproxy-raw: worker [12] ended at its start: exit code 7\n$/)
  })

  test('because of the address or the access log says the same as one process does', async () => {
    const cases: [string[], string][] = [
      [['--listen', '192.0.2.1:0'], 'cannot listen on 192.0.2.1:0: this machine does not have that address'],
      [['--listen', 'unix:/no/such/folder/x.sock'], 'cannot listen on unix:/no/such/folder/x.sock: the folder does not exist'],
      [
        ['--listen', '127.0.0.1:0', '--access-log', '/no/such/folder/access.log'],
        'cannot open the access log /no/such/folder/access.log: the folder does not exist',
      ],
    ]
    for (const [args, message] of cases) {
      for (const workers of ['1', '2']) {
        const result = await runToEnd([...args, '--workers', workers])
        assert.deepEqual(result, { code: 1, stdout: '', stderr: `eproxy-raw: ${message}\n` })
      }
    }
  })
})

test('SIGHUP replaces the workers', async () => {
  await using proxy = await RunningProxy.start(two)
  const before = await readyPids(proxy, 2)
  proxy.child.process.kill('SIGHUP')
  await proxy.child.said(/reloaded: every worker is a new one/)
  const after = (await readyPids(proxy, 4)).slice(2)
  assert.equal(new Set([...before, ...after]).size, 4)
  assert.equal((await get(proxy.port, '/')).status, 200)
})

test('SIGHUP does not end a single process, and says that there is nothing to do', async () => {
  await using proxy = await RunningProxy.start(['--workers', '1'])
  proxy.child.process.kill('SIGHUP')
  await proxy.child.said(/there is nothing to reload/)
  assert.equal((await get(proxy.port, '/')).status, 200)
})

test('SIGHUP from a terminal that was closed ends the command', { skip: isMissing('script') }, async () => {
  for (const workers of ['1', '2']) {
    const command = `'${process.execPath}' '${mainPath}' --listen 127.0.0.1:0 --workers ${workers} --log-format json`
    const terminal = spawn('script', ['-qfc', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] })
    let shown = ''
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text))
    const address = (): string | undefined => /"address":"(127[^"]+)"/.exec(shown)?.[1]
    await until(
      () => address() !== undefined,
      () => `the address in ${shown}`,
    )
    terminal.kill('SIGKILL')
    const isGone = async (): Promise<boolean> => {
      try {
        ;(await RawClient.connect(address()!)).destroy()
        return false
      } catch {
        return true
      }
    }
    let isOver = false
    await until(
      () => {
        void isGone().then((gone) => (isOver ||= gone))
        return isOver
      },
      () => 'the port to be free',
    )
  }
})

test('SIGINT to the whole group, as a terminal sends it, drains once', async () => {
  await using origin = await SlowOrigin.start()
  await using proxy = await RunningProxy.start([...two, '--upstream', `127.0.0.1:${origin.port}`])
  const pids = await readyPids(proxy, 2)
  const answer = get(proxy.port, '/slow')
  const finish = await origin.nextRequest()
  for (const pid of [...pids, proxy.child.process.pid!]) process.kill(pid, 'SIGINT')
  await proxy.child.said(/stopping/)
  finish('done')
  assert.deepEqual(await answer, { status: 200, body: 'done' })
  assert.equal(await proxy.child.exitCode, 0)
})

test('when the primary is killed, workers finish what runs and end', async () => {
  await using origin = await SlowOrigin.start()
  await using proxy = await RunningProxy.start([...two, '--upstream', `127.0.0.1:${origin.port}`])
  const answer = get(proxy.port, '/slow')
  const finish = await origin.nextRequest()
  proxy.child.process.kill('SIGKILL')
  await proxy.child.saidTimes(2, /the primary is gone/)
  finish('done')
  assert.deepEqual(await answer, { status: 200, body: 'done' })
  // Standard error is closed when the last process that has it has ended.
  assert.equal(await proxy.child.exitCode, null)
  await assert.rejects(RawClient.connect(`127.0.0.1:${proxy.port}`), { code: 'ECONNREFUSED' })
})

test('a worker that crashes is replaced and logged with what ended it', async () => {
  await using proxy = await RunningProxy.start(two, inWorkers('process.on("SIGWINCH", () => process.exit(9))'))
  const [first = 0] = await readyPids(proxy, 2)
  process.kill(first, 'SIGWINCH')
  const line = JSON.parse(await proxy.child.said(/ended unexpectedly/)) as { workerPid: number; msg: string }
  assert.equal(line.workerPid, first)
  assert.match(line.msg, /^worker [12] ended unexpectedly: exit code 9$/)
  await readyPids(proxy, 3)
  assert.equal((await get(proxy.port, '/')).status, 200)
})

test('when no worker starts any more, the command ends with exit code 1', async () => {
  using folder = new TemporaryFolder()
  const mark = folder.file('mark')
  const code = `if ((await import('node:fs')).existsSync(${JSON.stringify(mark)})) process.exit(9)`
  await using proxy = await RunningProxy.start([...two, '--worker-restart-min', '1ms', '--worker-restart-max', '1ms'], inWorkers(code))
  fs.writeFileSync(mark, '')
  for (const pid of await readyPids(proxy, 2)) process.kill(pid, 'SIGKILL')
  assert.equal(await proxy.child.exitCode, 1)
  assert.match(proxy.child.stderrText, /eproxy-raw: no worker starts any more; the last was worker [12]\n$/)
})

test('clients of both workers are served through one socket file', async () => {
  using folder = new TemporaryFolder()
  const path = folder.file('group.sock')
  await using proxy = await RunningProxy.start([...two, '--listen', `unix:${path}`])
  const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.connect(`unix:${path}`)))
  const responses = await Promise.all(clients.map((client) => client.exchange(rawGet())))
  assert.ok(responses.every(({ status }) => status === 200))
  for (const client of clients) client.destroy()
  proxy.child.process.kill('SIGTERM')
  assert.equal(await proxy.child.exitCode, 0)
  assert.ok(!fs.existsSync(path))
})

function assertLog(text: string, targets: readonly string[]): void {
  assert.ok(text.endsWith('\n'))
  const lines = text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line) as { target: string; status: number; worker: number })
  assert.deepEqual(lines.map(({ target }) => target).sort(), [...targets].sort())
  assert.ok(lines.every(({ worker, status }) => (worker === 1 || worker === 2) && status === 200))
}

/** Of the first so many workers that became ready. */
async function readyPids(proxy: RunningProxy, count: number): Promise<readonly number[]> {
  const lines = await proxy.child.saidTimes(count, /worker \d+ is ready/)
  return lines.map((line) => (JSON.parse(line) as { workerPid: number }).workerPid)
}

/** Over a few connections each, so that both workers have something to log. */
async function requestAll(port: number, targets: readonly string[]): Promise<void> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 })
  await Promise.all(
    targets.map(
      (path) =>
        new Promise<void>((resolve, reject) => {
          const request = http.get({ host: '127.0.0.1', port, path, agent }, (response) => response.resume().on('end', resolve))
          request.on('error', reject)
        }),
    ),
  )
  agent.destroy()
}
