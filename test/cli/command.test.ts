/** The command as a child process: what it prints where, its exit codes, and its life from start to signal. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'
import { LineCollector } from '../support/line-collector.ts'
import { get, RunningCommand, RunningProxy, runToEnd } from '../support/running-command.ts'
import { SlowOrigin } from '../support/slow-origin.ts'

describe('what is printed', () => {
  test('help goes to standard output, exit code 0', async () => {
    const { code, stdout, stderr } = await runToEnd(['--help'])
    assert.equal(code, 0)
    assert.equal(stderr, '')
    assert.match(stdout, /^Usage: eproxy-raw \[flags\]\n/)
    assert.match(stdout, /--timeout-request-head .*\n?.*\[default: 10s\]/)
  })

  test('the version names eproxy-raw, node and llhttp', async () => {
    const { code, stdout, stderr } = await runToEnd(['--version'])
    assert.equal(code, 0)
    assert.equal(stderr, '')
    assert.match(stdout, /^eproxy-raw \d+\.\d+\.\d+\S*, node \d+\.\d+\.\d+, llhttp \d+\.\d+\.\d+\S*\n$/)
    assert.ok(stdout.includes(`node ${process.versions.node}`))
  })

  test('a check of good flags starts nothing, exit code 0', async () => {
    const { code, stdout, stderr } = await runToEnd(['--check', '--listen', '192.0.2.1:80', '--timeout-dns', '1s'])
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'eproxy-raw: the flags are valid\n', stderr: '' })
  })

  test('a wrong command line gives one line on standard error and nothing else, exit code 2', async () => {
    const wrong: string[][] = [
      ['--timeout-conect', '5s'],
      ['--timeout-dns', 'NaN', '--check'],
      ['--check', '--check=1'],
      ['--listen', 'a\n\u001b[31mb'],
      ['--x\ny'],
      ['extra'],
    ]
    for (const args of wrong) {
      const { code, stdout, stderr } = await runToEnd(args)
      assert.equal(code, 2, args.join(' '))
      assert.equal(stdout, '')
      assert.match(stderr, /^eproxy-raw: [ -~]+\n$/)
    }
  })

  test('a reader that closes early is no failure', async () => {
    const child = new RunningCommand(['--help'])
    child.process.stdout.destroy()
    assert.equal(await child.exitCode, 0)
    assert.equal(child.stderrText, '')
  })
})

describe('a start that fails', () => {
  test('because the address is in use says so in one line, exit code 1', async () => {
    const holder = net.createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { port } = holder.address() as net.AddressInfo
    const { code, stdout, stderr } = await runToEnd(['--listen', `127.0.0.1:${port}`])
    holder.close()
    assert.deepEqual(
      { code, stdout, stderr },
      { code: 1, stdout: '', stderr: `eproxy-raw: cannot listen on 127.0.0.1:${port}: the address is already in use\n` },
    )
  })

  test('because a live server has the socket file leaves that server alone', async () => {
    using place = makePlace()
    const socketPath = path.join(place.folder, 'live.sock')
    const holder = net.createServer((socket) => socket.on('error', () => {}).end('alive')).listen(socketPath)
    await once(holder, 'listening')
    const { code, stderr } = await runToEnd(['--listen', `unix:${socketPath}`])
    assert.equal(code, 1)
    assert.equal(stderr, `eproxy-raw: cannot listen on unix:${socketPath}: a server that is alive has this socket\n`)
    const [answer] = (await once(net.connect(socketPath), 'data')) as [Buffer]
    assert.equal(answer.toString(), 'alive')
    holder.close()
  })

  test('because the address is nowhere on this machine, or no address at all, says which', async () => {
    const cases: [string, string][] = [
      ['192.0.2.1:0', 'this machine does not have that address'],
      ['no-such-host.invalid:0', 'the host name cannot be resolved'],
      ['unix:/no/such/folder/eproxy.sock', 'the folder does not exist'],
    ]
    for (const [address, why] of cases) {
      const { code, stdout, stderr } = await runToEnd(['--listen', address])
      assert.deepEqual({ code, stdout, stderr }, { code: 1, stdout: '', stderr: `eproxy-raw: cannot listen on ${address}: ${why}\n` })
    }
  })

  test('because the access log cannot be opened says why, exit code 1', async () => {
    using place = makePlace()
    const cases: [string, string][] = [
      [path.join(place.folder, 'none', 'access.log'), 'the folder does not exist'],
      [place.folder, 'it is a folder'],
    ]
    for (const [file, why] of cases) {
      const { code, stderr } = await runToEnd(['--listen', '127.0.0.1:0', '--access-log', file])
      assert.equal(code, 1)
      assert.equal(stderr, `eproxy-raw: cannot open the access log ${file}: ${why}\n`)
    }
  })
})

for (const workers of ['1', '2'])
  describe(`a running proxy, --workers ${workers}`, () => {
    const startProxy = (args: readonly string[], nodeArgs: readonly string[] = []): Promise<RunningProxy> =>
      RunningProxy.start(['--workers', workers, ...args], nodeArgs)

    test('says where it listens, answers from the embedded origin, and ends on SIGTERM with exit code 0', async () => {
      await using proxy = await startProxy([])
      const line = JSON.parse(proxy.listening)
      assert.equal(line.level, 'info')
      assert.equal(line.upstreams, 'embedded origin')
      const response = await get(proxy.port, '/hello')
      assert.equal(response.status, 200)
      proxy.child.process.kill('SIGTERM')
      assert.equal(await proxy.child.exitCode, 0)
      assert.equal(proxy.child.stdoutText, '')
    })

    test('listens on every address that is given', async () => {
      using place = makePlace()
      const socketPath = path.join(place.folder, 'eproxy.sock')
      await using proxy = await startProxy(['--listen', `unix:${socketPath}`])
      await proxy.child.said(/listening on unix:/)
      assert.equal((await get(proxy.port, '/')).status, 200)
      assert.equal((await get(socketPath, '/')).status, 200)
      proxy.child.process.kill('SIGINT')
      assert.equal(await proxy.child.exitCode, 0)
      assert.equal(fs.existsSync(socketPath), false)
    })

    test('lets a running exchange finish after SIGTERM', async () => {
      await using origin = await SlowOrigin.start()
      await using proxy = await startProxy(['--upstream', `127.0.0.1:${origin.port}`])
      const answer = get(proxy.port, '/slow')
      const finish = await origin.nextRequest()
      proxy.child.process.kill('SIGTERM')
      await proxy.child.said(/stopping/)
      finish('done')
      assert.deepEqual(await answer, { status: 200, body: 'done' })
      assert.equal(await proxy.child.exitCode, 0)
    })

    test('ends with exit code 0 when the time to drain is over', async () => {
      await using origin = await SlowOrigin.start()
      await using proxy = await startProxy(['--upstream', `127.0.0.1:${origin.port}`, '--timeout-drain', '50ms'])
      const answer = get(proxy.port, '/slow').catch((error: unknown) => error)
      await origin.nextRequest()
      proxy.child.process.kill('SIGTERM')
      assert.equal(await proxy.child.exitCode, 0)
      await answer
    })

    for (const [signal, code] of [
      ['SIGTERM', 143],
      ['SIGINT', 130],
    ] as const) {
      test(`ends at once on a second signal, exit code ${code} for ${signal}, and logs the exchange that was cut`, async () => {
        using place = makePlace()
        const file = path.join(place.folder, 'access.log')
        await using origin = await SlowOrigin.start()
        await using proxy = await startProxy(['--upstream', `127.0.0.1:${origin.port}`, '--access-log', file])
        const answer = get(proxy.port, '/cut').catch((error: unknown) => error)
        await origin.nextRequest()
        proxy.child.process.kill('SIGTERM')
        await proxy.child.said(/stopping/)
        proxy.child.process.kill(signal)
        assert.equal(await proxy.child.exitCode, code)
        await answer
        const lines = fs.readFileSync(file, 'latin1').trimEnd().split('\n')
        assert.equal(lines.length, 1)
        assert.equal(JSON.parse(lines[0] ?? '').target, '/cut')
      })
    }

    test('writes the access log to standard output, complete at the end', async () => {
      await using proxy = await startProxy(['--access-log', '-'])
      for (const target of ['/a', '/b?\\{}', '/c']) await get(proxy.port, target)
      proxy.child.process.kill('SIGTERM')
      assert.equal(await proxy.child.exitCode, 0)
      const lines = proxy.child.stdoutText
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
      assert.deepEqual(
        // Of two workers either may answer, and write, first.
        lines.map(({ method, target, status, term }) => [method, target, status, term]).sort(([, a], [, b]) => (a < b ? -1 : 1)),
        ['/a', '/b?\\{}', '/c'].map((target) => ['GET', target, 200, '--']),
      )
    })

    test('writes the combined format to a unix socket, with what the client says of itself and without what is hidden', async () => {
      using place = makePlace()
      const file = path.join(place.folder, 'log.sock')
      await using collector = await LineCollector.listen(file)
      const log = ['--access-log', `unix:${file}`, '--access-log-format', 'combined', '--access-log-redact-query', 'token']
      await using proxy = await startProxy(log)
      const headers = { host: 'localhost', 'user-agent': 'a "browser"', referer: 'http://b.example/?token=pssst' }
      const request = http.get({ host: '127.0.0.1', port: proxy.port, path: '/a?token=pssst&b=1', agent: false, headers })
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      await once(response.resume(), 'close')
      proxy.child.process.kill('SIGTERM')
      assert.equal(await proxy.child.exitCode, 0)
      const [line = ''] = await collector.lines(1)
      assert.match(
        line,
        /^127\.0\.0\.1 - - \[.*\] "GET \/a\?token=\*\*\*&b=1 HTTP\/1\.1" 200 \d+ "http:\/\/b\.example\/\?token=\*\*\*" "a \\x22browser\\x22"$/,
      )
    })

    test('goes on when the reader of its access log goes away', async () => {
      await using proxy = await startProxy(['--access-log', '-'])
      proxy.child.process.stdout.destroy()
      assert.equal((await get(proxy.port, '/lost')).status, 200)
      await proxy.child.said(/access log: lines may be lost/)
      assert.equal((await get(proxy.port, '/')).status, 200)
      proxy.child.process.kill('SIGTERM')
      assert.equal(await proxy.child.exitCode, 0)
    })

    test('goes on in a new access log after SIGUSR2, and survives SIGUSR2 without one', async () => {
      using place = makePlace()
      const file = path.join(place.folder, 'access.log')
      await using proxy = await startProxy(['--access-log', file])
      await get(proxy.port, '/old')
      fs.renameSync(file, `${file}.1`)
      proxy.child.process.kill('SIGUSR2')
      await proxy.child.saidTimes(Number(workers), /access log reopened/)
      await get(proxy.port, '/new')
      proxy.child.process.kill('SIGTERM')
      assert.equal(await proxy.child.exitCode, 0)
      assert.match(fs.readFileSync(`${file}.1`, 'latin1'), /^[^\n]*"target":"\/old"[^\n]*\n$/)
      assert.match(fs.readFileSync(file, 'latin1'), /^[^\n]*"target":"\/new"[^\n]*\n$/)

      await using plain = await startProxy([])
      plain.child.process.kill('SIGUSR2')
      assert.equal((await get(plain.port, '/')).status, 200)
    })

    test('logs an exception that nothing caught and goes on serving', async () => {
      const fault = 'process.on("SIGWINCH", () => { throw new Error("from nowhere") })'
      await using proxy = await startProxy([], [`--import=data:text/javascript,${encodeURIComponent(fault)}`])
      proxy.child.process.kill('SIGWINCH')
      const line = JSON.parse(await proxy.child.said(/uncaught exception/))
      assert.equal(line.level, 'fatal')
      assert.equal(line.count, 1)
      assert.match(line.err.stack, /Error: from nowhere/)
      assert.equal((await get(proxy.port, '/')).status, 200)
      proxy.child.process.kill('SIGTERM')
      assert.equal(await proxy.child.exitCode, 0)
    })
  })

function makePlace(): Disposable & { readonly folder: string } {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'eproxy-cli-'))
  return { folder, [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }) }
}
