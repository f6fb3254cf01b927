/** The command with a configuration file: what it prints and says, and another configuration while it runs. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs from 'node:fs'
import http, { createServer, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { describe, test } from 'node:test'
import { parse } from 'yaml'
import { until } from '../support/patience.ts'
import { get, RunningCommand, RunningProxy, runToEnd } from '../support/running-command.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

describe('without starting anything', () => {
  test('--check says that flags, environment and file are valid, or all that is wrong, and ends with 2', async () => {
    using folder = new TemporaryFolder()
    const path = folder.file('a.yaml')
    fs.writeFileSync(path, 'upstreams: { app: [127.0.0.1:1] }\n')
    assert.deepEqual(await runToEnd(['--check', '--config', path]), { code: 0, stdout: `eproxy-raw: ${path} is valid\n`, stderr: '' })
    assert.deepEqual(await runToEnd(['--check'], [], { EPROXY_CONFIG: path }), {
      code: 0,
      stdout: `eproxy-raw: ${path} is valid\n`,
      stderr: '',
    })
    fs.writeFileSync(path, 'upstream: { app: [127.0.0.1:1] }\ntimeouts: { queue: 5 }\n')
    const { code, stdout, stderr } = await runToEnd(['--check', '--config', path])
    assert.equal(code, 2)
    assert.equal(stdout, '')
    assert.deepEqual(stderr.split('\n'), [
      `eproxy-raw: ${path}:1:1: unknown key "upstream"; did you mean upstreams?`,
      `eproxy-raw: ${path}:2:20: timeouts.queue: "5" is not a duration: the unit is missing; there are d, h, m, s, ms (for example 5s)`,
      '',
    ])
    // However many there are: nothing else is said in between.
    fs.writeFileSync(path, Array.from({ length: 15 }, (_, index) => `unknown${index}: 1\n`).join(''))
    const many = await runToEnd(['--check', '--config', path])
    assert.deepEqual(
      many.stderr.split('\n').filter((line) => !/^eproxy-raw: .*unknown key/.test(line)),
      [''],
    )
    // To run it is no different.
    assert.equal((await runToEnd(['--config', path])).code, 2)
    assert.deepEqual(await runToEnd(['--config', folder.file('none')]), {
      code: 2,
      stdout: '',
      stderr: `eproxy-raw: ${folder.file('none')}: there is no such file\n`,
    })
  })

  test('--print-config prints what holds, of flag, environment, file and default', async () => {
    using folder = new TemporaryFolder()
    const path = folder.file('a.yaml')
    fs.writeFileSync(
      path,
      'upstreams: { app: [127.0.0.1:1] }\ntimeouts: { queue: 5s, dns: 1s, linger: 1s }\nadmin: { address: 127.0.0.1:1, token: a-secret-of-some-length }\n',
    )
    const { code, stdout } = await runToEnd(['--print-config', '--config', path, '--timeout-queue', '7s'], [], {
      EPROXY_TIMEOUT_QUEUE: '6s',
      EPROXY_TIMEOUT_DNS: '2s',
    })
    assert.equal(code, 0)
    for (const line of [
      '  queue: 7s # --timeout-queue',
      '  dns: 2s # EPROXY_TIMEOUT_DNS',
      `  linger: 1s # ${path}:2`,
      '  connect: 4s # default',
      '  token: "****************" # ',
    ])
      assert(stdout.includes(line), `${line} in ${stdout}`)
    assert.doesNotMatch(stdout, /secret/)
    assert.equal((parse(stdout) as { timeouts: { queue: string } }).timeouts.queue, '7s')

    fs.writeFileSync(path, stdout)
    const again = await runToEnd(['--print-config', '--config', path])
    assert.deepEqual(parse(again.stdout), parse(stdout))
  })

  test('--print-config without a file prints flags as a file', async () => {
    const { code, stdout } = await runToEnd(['--print-config', '--upstream', 'a:1', '--workers', '2'])
    assert.equal(code, 0)
    assert.match(stdout, /^workers: 2 # --workers$/m)
    assert.match(stdout, /^ +- address: a:1 # --upstream$/m)
  })

  test('--print-schema prints a JSON Schema', async () => {
    const { code, stdout } = await runToEnd(['--print-schema'])
    assert.equal(code, 0)
    const schema = JSON.parse(stdout) as { $schema: string; properties: Record<string, unknown> }
    assert.equal(schema.$schema, 'https://json-schema.org/draft/2020-12/schema')
    assert(Object.hasOwn(schema.properties, 'upstreams'))
  })

  test('a variable that means nothing is told, and nothing is refused for it', async () => {
    const { code, stdout, stderr } = await runToEnd(['--check'], [], { EPROXY_WORKRES: '2' })
    assert.equal(code, 0)
    assert.equal(stdout, 'eproxy-raw: the flags are valid\n')
    assert.equal(stderr, 'eproxy-raw: the environment has EPROXY_WORKRES, which means nothing; did you mean EPROXY_WORKERS?\n')
  })
})

/** An origin that answers with its name, and switches to an echo when it is asked to. */
class NamedOrigin implements AsyncDisposable {
  readonly server: Server
  readonly #tunnels = new Set<Socket>()

  static async start(name: string): Promise<NamedOrigin> {
    const origin = new NamedOrigin(name)
    origin.server.listen(0, '127.0.0.1')
    await once(origin.server, 'listening')
    return origin
  }

  private constructor(name: string) {
    this.server = createServer((_request, response) => response.end(name))
    this.server.on('upgrade', (_request, socket: Socket) => {
      this.#tunnels.add(socket)
      socket.on('error', () => socket.destroy())
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
      socket.pipe(socket)
    })
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const tunnel of this.#tunnels) tunnel.destroy()
    this.server.closeAllConnections()
    this.server.close()
    await once(this.server, 'close')
  }
}

/** An upgraded connection through the proxy. */
class Tunnel implements Disposable {
  readonly #socket: Socket
  #received = ''

  static async open(port: number): Promise<Tunnel> {
    const tunnel = new Tunnel(connect(port, '127.0.0.1'))
    tunnel.#socket.write('GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    await tunnel.#sees('\r\n\r\n')
    assert.match(tunnel.#received, /^HTTP\/1\.1 101 /)
    return tunnel
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('latin1').on('data', (text: string) => (this.#received += text))
    socket.on('error', () => {})
  }

  async echoes(text: string): Promise<void> {
    this.#socket.write(text)
    await this.#sees(text)
  }

  async #sees(text: string): Promise<void> {
    await until(
      () => this.#received.includes(text) || this.#socket.destroyed,
      () => `${text}; received was ${this.#received}`,
    )
    assert(this.#received.includes(text), 'the tunnel is open')
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}

/** Requests one after the other on connections that are kept, from now until it is stopped. */
class Traffic implements AsyncDisposable {
  readonly faults: string[] = []
  answered = 0
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 2 })
  readonly #done: Promise<unknown>
  #isStopped = false

  /** To a port of 127.0.0.1, or a socket file. */
  constructor(place: number | string) {
    this.#done = Promise.all([this.#run(place), this.#run(place)])
  }

  async #run(place: number | string): Promise<void> {
    const where = typeof place === 'number' ? { host: '127.0.0.1', port: place } : { socketPath: place }
    while (!this.#isStopped) {
      try {
        const request = http.get({ ...where, path: '/', agent: this.#agent, headers: { host: 'localhost' } })
        const [response] = (await once(request, 'response')) as [http.IncomingMessage]
        response.resume()
        await once(response, 'end')
        if (response.statusCode === 200) this.answered++
        else this.faults.push(`status ${response.statusCode}`)
      } catch (error) {
        this.faults.push(String(error))
      }
    }
  }

  /** Some more have been answered. */
  async goesOn(): Promise<void> {
    const wanted = this.answered + 10
    await until(
      () => this.answered >= wanted,
      () => `${wanted} answers; there are ${this.answered} and ${this.faults.join(', ')}`,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true
    await this.#done
    this.#agent.destroy()
  }
}

/** One that listens where its file says, ended with the test. */
class EndedCommand extends RunningCommand implements AsyncDisposable {
  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill('SIGKILL')
    await this.exitCode
  }
}

function replaceFile(path: string, text: string): void {
  fs.writeFileSync(`${path}.new`, text)
  fs.renameSync(`${path}.new`, path)
}

for (const workers of ['1', '2']) {
  describe(`another configuration while it runs, --workers ${workers}`, () => {
    test('under traffic, with an open tunnel: it holds for what begins after it, and nothing is lost', async () => {
      using folder = new TemporaryFolder()
      await using one = await NamedOrigin.start('one')
      await using two = await NamedOrigin.start('two')
      const path = folder.file('a.yaml')
      fs.writeFileSync(path, `upstreams: { app: ['${one.address}'] }\n`)
      await using proxy = await RunningProxy.start(['--workers', workers, '--config', path, '--log-level', 'debug'])
      using tunnel = await Tunnel.open(proxy.port)
      await using traffic = new Traffic(proxy.port)
      await traffic.goesOn()
      assert.equal((await get(proxy.port, '/')).body, 'one')

      // The file has changed.
      replaceFile(path, `upstreams: { app: ['${two.address}'] }\n`)
      await proxy.child.said(/"configuration reloaded"/)
      assert.equal((await get(proxy.port, '/')).body, 'two')
      await tunnel.echoes('after the first')
      await traffic.goesOn()

      // A file that is wrong changes nothing and says why.
      replaceFile(path, `upstreams: { app: ['${one.address}'] }\ntimeouts: { queue: 5 }\n`)
      const said = await proxy.child.said(/was not reloaded/)
      assert.match(said, /a\.yaml:2:20: timeouts\.queue: /)
      assert.equal((await get(proxy.port, '/')).body, 'two')

      // And by a signal.
      replaceFile(path, `upstreams: { app: ['${one.address}'] }\n`)
      proxy.child.process.kill('SIGHUP')
      await proxy.child.saidTimes(2, /"configuration reloaded"/)
      assert.equal((await get(proxy.port, '/')).body, 'one')
      await tunnel.echoes('after the last')
      await traffic.goesOn()
      assert.deepEqual(traffic.faults, [])
      // No worker was replaced for it.
      assert.doesNotMatch(proxy.child.stderrText, /is replaced|has ended/)
      assert.equal(proxy.child.stderrText.match(/worker \d+ is ready/g)?.length ?? 1, Number(workers))
    })

    test('listeners come and go', async () => {
      using folder = new TemporaryFolder()
      await using origin = await NamedOrigin.start('here')
      const path = folder.file('a.yaml')
      const [first, second] = [folder.file('1.sock'), folder.file('2.sock')]
      const config = (...addresses: string[]): string =>
        `listeners: [${addresses.map((address) => `'unix:${address}'`).join(', ')}]\nupstreams: { app: ['${origin.address}'] }\n`
      fs.writeFileSync(path, config(first))
      await using proxy = new EndedCommand(['--workers', workers, '--config', path, '--log-format', 'json'])
      await proxy.said(/listening on unix:.*1\.sock/)

      replaceFile(path, config(first, second))
      await proxy.said(/listening on unix:.*2\.sock/)
      await proxy.said(/"configuration reloaded"/)
      assert.equal((await get(second, '/')).body, 'here')
      assert.equal((await get(first, '/')).body, 'here')

      replaceFile(path, config(second))
      await proxy.saidTimes(2, /"configuration reloaded"/)
      assert.equal((await get(second, '/')).body, 'here')
      await assert.rejects(get(first, '/'), { code: /ENOENT|ECONNREFUSED/ })

      // One that cannot be had: all stays as it was.
      replaceFile(path, config(second, folder.file('none/3.sock')))
      await proxy.said(/was not reloaded.*the folder does not exist/)
      assert.equal((await get(second, '/')).body, 'here')
    })

    test('a listener moves from all addresses of its port to one, back, and nowhere when another has one; the others go on', async () => {
      using folder = new TemporaryFolder()
      await using origin = await NamedOrigin.start('here')
      const path = folder.file('a.yaml')
      const other = folder.file('other.sock')
      const config = (address: string): string => `listeners: ['${address}', 'unix:${other}']\nupstreams: { app: ['${origin.address}'] }\n`
      fs.writeFileSync(path, config(':0'))
      await using proxy = new EndedCommand(['--workers', workers, '--config', path, '--log-format', 'json'])
      const [listening] = await proxy.saidTimes(2, /listening on/)
      const port = Number(/:(\d+)$/.exec(JSON.parse(listening!).address)?.[1])
      using tunnel = await Tunnel.open(port)
      await using traffic = new Traffic(other)
      await traffic.goesOn()

      replaceFile(path, config(`127.0.0.1:${port}`))
      await proxy.said(/"configuration reloaded"/)
      assert.equal((await get(port, '/')).body, 'here')
      // Only Linux has more addresses of its own than one without being told.
      if (process.platform === 'linux') {
        const neighbour = createServer().listen(port, '127.0.0.2')
        await once(neighbour, 'listening')
        replaceFile(path, config(`:${port}`))
        await proxy.said(/was not reloaded.*cannot listen on :\d+: the address is already in use/)
        assert.equal((await get(port, '/')).body, 'here')
        neighbour.close()
        await once(neighbour, 'close')
        proxy.process.kill('SIGHUP')
      } else replaceFile(path, config(`:${port}`))
      await proxy.saidTimes(2, /"configuration reloaded"/)
      assert.equal((await get(port, '/')).body, 'here')
      await tunnel.echoes('after all')
      await traffic.goesOn()
      assert.deepEqual(traffic.faults, [])
      assert.doesNotMatch(proxy.stderrText, /could not be opened again/)
    })
  })
}
