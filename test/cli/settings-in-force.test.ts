/** Other settings for all of the running command: access log, admin listener, log and workers, together or not at all. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { until } from '../support/patience.ts'
import { isMissing, runCommand } from '../support/program.ts'
import { get, RunningCommand } from '../support/running-command.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

/** The command with a file that is written anew. */
class Subject implements AsyncDisposable {
  readonly folder = new TemporaryFolder()
  readonly child: RunningCommand
  readonly #path = this.folder.file('a.yaml')
  readonly #lines: string
  #reloads = 0
  port = 0

  /** `lines` stand in every configuration. */
  static async start(lines: string, first: string): Promise<Subject> {
    const subject = new Subject(lines, first)
    const line = await subject.child.said(/listening on 127\.0\.0\.1:/)
    subject.port = Number(/:(\d+)$/.exec(JSON.parse(line).address)?.[1])
    return subject
  }

  private constructor(lines: string, first: string) {
    this.#lines = `listeners: ['127.0.0.1:0']\n${lines}\n`
    this.write(first)
    this.child = new RunningCommand(['--config', this.#path, '--log-format', 'json'])
  }

  write(text: string): void {
    fs.writeFileSync(`${this.#path}.new`, this.#lines + text.replaceAll('FOLDER', this.folder.path))
    fs.renameSync(`${this.#path}.new`, this.#path)
  }

  /** Resolves with the line that says so. */
  async reload(text: string): Promise<string> {
    this.write(text)
    this.child.process.kill('SIGHUP')
    this.#reloads += 1
    return (await this.child.saidTimes(this.#reloads, /"configuration reloaded/))[this.#reloads - 1]!
  }

  logged(name: string): readonly string[] {
    const path = this.folder.file(name)
    return fs.existsSync(path) ? fs.readFileSync(path, 'latin1').split('\n').slice(0, -1) : []
  }

  /** Processes of the command that have this file open. */
  async holders(name: string): Promise<readonly string[]> {
    const path = this.folder.file(name)
    const { stdout } = await runCommand('ps', ['-o', 'pid=', '--ppid', String(this.child.process.pid)])
    const pids = [String(this.child.process.pid), ...stdout.toString().split(/\s+/)].filter((pid) => pid !== '')
    return pids.filter((pid) => {
      try {
        const files = fs.readdirSync(`/proc/${pid}/fd`).map((fd) => {
          try {
            return fs.readlinkSync(`/proc/${pid}/fd/${fd}`)
          } catch {
            return ''
          }
        })
        return files.includes(path)
      } catch {
        return false
      }
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.process.kill('SIGKILL')
    await this.child.exitCode
    this.folder[Symbol.dispose]()
  }
}

/** An origin that answers `/hold` when it is let. */
class HoldingOrigin implements AsyncDisposable {
  readonly server: Server
  readonly held: ServerResponse[] = []

  static async start(): Promise<HoldingOrigin> {
    const origin = new HoldingOrigin()
    origin.server.listen(0, '127.0.0.1')
    await once(origin.server, 'listening')
    return origin
  }

  private constructor() {
    this.server = http.createServer((request, response) => {
      if (request.url === '/hold') this.held.push(response)
      else response.end('here')
    })
  }

  get address(): string {
    return `127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections()
    this.server.close()
    await once(this.server, 'close')
  }
}

/** Requests for targets that occur once, on kept connections, from now until it is stopped. */
class CountedTraffic {
  readonly targets: string[] = []
  readonly faults: string[] = []
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 4 })
  readonly #done: Promise<unknown>
  #isStopped = false
  #last = 0

  constructor(port: number) {
    this.#done = Promise.all(Array.from({ length: 4 }, () => this.#run(port)))
  }

  async goesOn(): Promise<void> {
    const wanted = this.targets.length + 20
    await until(
      () => this.targets.length >= wanted || this.faults.length > 0,
      () => `${wanted} answers; there are ${this.targets.length}`,
    )
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#done
    this.#agent.destroy()
    assert.deepEqual(this.faults, [])
  }

  async #run(port: number): Promise<void> {
    while (!this.#isStopped) {
      const path = `/${(this.#last += 1)}`
      try {
        const request = http.get({ host: '127.0.0.1', port, path, agent: this.#agent, headers: { host: 'localhost' } })
        const [response] = (await once(request, 'response')) as [IncomingMessage]
        response.resume()
        await once(response, 'end')
        if (response.statusCode === 200) this.targets.push(path)
        else this.faults.push(`status ${response.statusCode}`)
      } catch (error) {
        this.faults.push(String(error))
      }
      // Who asks without a pause leaves the machine to nobody else.
      await delay(5)
    }
  }
}

/** Of lines in JSON or in the combined format. */
function targetsOf(lines: readonly string[]): readonly string[] {
  return lines.map((line) =>
    line.startsWith('{') ? (JSON.parse(line) as { target: string }).target : (/"GET (\S+) /.exec(line)?.[1] ?? line),
  )
}

/** Without an agent. The status, or why there is none. */
async function ask(port: number, path: string, method = 'GET', token = ''): Promise<number | string> {
  const request = http.request({
    host: '127.0.0.1',
    port,
    path,
    method,
    agent: false,
    headers: { host: 'localhost', authorization: `Bearer ${token}` },
  })
  request.end()
  try {
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.resume()
    await once(response, 'end')
    return response.statusCode ?? 0
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

const adminPort = (line: string): number => Number(/:(\d+)$/.exec((JSON.parse(line) as { address: string }).address)?.[1])

for (const workers of [1, 2]) {
  describe(`other settings while it runs, ${workers === 1 ? 'in one process' : 'with workers'}`, () => {
    const answering = `workers: ${workers}\nroutes: [{ name: all, answer: here }]`

    test('another access log has each exchange once, and the one before it is whole and closed', { skip: isMissing('ps') }, async () => {
      await using origin = await HoldingOrigin.start()
      await using subject = await Subject.start(
        `workers: ${workers}\nupstreams: { app: ['${origin.address}'] }`,
        'accessLog: { destination: FOLDER/one.log }',
      )
      const held = get(subject.port, '/hold')
      await until(
        () => origin.held.length === 1,
        () => 'the request that is held',
      )
      const traffic = new CountedTraffic(subject.port)
      await traffic.goesOn()
      await subject.reload('accessLog: { destination: FOLDER/two.log, format: combined }')
      assert.deepEqual(await subject.holders('one.log'), [])
      const first = subject.logged('one.log')
      assert.equal((await subject.holders('two.log')).length, workers)
      await traffic.goesOn()
      // The same file in another format.
      await subject.reload('accessLog: { destination: FOLDER/two.log }')
      await traffic.goesOn()
      await traffic.stop()
      origin.held[0]!.end('late')
      assert.equal((await held).body, 'late')
      await subject.reload('')
      assert.deepEqual(await subject.holders('two.log'), [])
      const second = subject.logged('two.log')
      assert.equal((await get(subject.port, '/unlogged')).status, 200)
      await subject.reload('accessLog: { destination: FOLDER/three.log, redactQuery: [secret] }')
      assert.equal((await get(subject.port, '/three?secret=1')).status, 200)
      subject.child.process.kill('SIGTERM')
      assert.equal(await subject.child.exitCode, 0)

      assert.deepEqual(subject.logged('one.log'), first)
      assert(first.length > 0 && first.every((line) => line.startsWith('{')))
      assert(second.some((line) => line.startsWith('{')) && second.some((line) => !line.startsWith('{')))
      assert.deepEqual(targetsOf([...first, ...second]).toSorted(), [...traffic.targets, '/hold'].toSorted())
      assert(targetsOf(second).includes('/hold'))
      assert.equal(targetsOf(subject.logged('three.log')).length, 1)
      assert.doesNotMatch(subject.logged('three.log')[0]!, /secret=1/)
      assert.doesNotMatch(subject.child.stderrText, /"error"|is replaced|dropped/)
    })

    test('a pipe takes the place of a file as access log, and the other way round', { skip: isMissing('mkfifo', 'cat') }, async () => {
      await using subject = await Subject.start(answering, 'accessLog: { destination: FOLDER/one.log }')
      const fifo = subject.folder.file('fifo')
      await runCommand('mkfifo', [fifo])
      const reader = spawn('cat', [fifo], { stdio: ['ignore', 'pipe', 'ignore'] })
      let piped = ''
      reader.stdout.setEncoding('latin1').on('data', (text: string) => (piped += text))
      const ended = once(reader, 'close')
      const traffic = new CountedTraffic(subject.port)
      await traffic.goesOn()
      await subject.reload('accessLog: { destination: FOLDER/fifo, format: combined }')
      await traffic.goesOn()
      await subject.reload('accessLog: { destination: FOLDER/two.log }')
      // Nobody has it open any more.
      await ended
      await traffic.goesOn()
      await subject.reload('accessLog: { destination: "-" }')
      await traffic.goesOn()
      await traffic.stop()
      subject.child.process.kill('SIGTERM')
      assert.equal(await subject.child.exitCode, 0)
      const through = piped.split('\n').slice(0, -1)
      assert(through.length > 0)
      assert(through.every((line) => !line.startsWith('{')))
      const out = subject.child.stdoutText.split('\n').slice(0, -1)
      const lines = [...subject.logged('one.log'), ...through, ...subject.logged('two.log'), ...out]
      assert.deepEqual(targetsOf(lines).toSorted(), traffic.targets.toSorted())
    })

    test('the admin listener comes, has another token, moves and goes', async () => {
      const [one, two] = ['the-first-token-of-two', 'the-second-token-of-two']
      await using subject = await Subject.start(answering, '')
      await subject.reload(`admin: { address: '127.0.0.1:0', token: ${one} }`)
      const first = adminPort(await subject.child.said(/admin listener on/))
      assert.equal(await ask(first, '/readyz'), 200)
      assert.equal(await ask(first, '/reload', 'POST', two), 401)

      // Asked for with the token that ends with it.
      subject.write(`admin: { address: '127.0.0.1:0', token: ${two} }`)
      assert.equal(await ask(first, '/reload', 'POST', one), 200)
      assert.equal(await ask(first, '/reload', 'POST', one), 401)
      assert.equal(await ask(first, '/reload', 'POST', two), 200)

      const events = http.get({ host: '127.0.0.1', port: first, path: '/events', agent: false, headers: { host: 'localhost' } })
      const [stream] = (await once(events, 'response')) as [IncomingMessage]
      const ended = once(stream, 'end')
      stream.resume()
      const socket = subject.folder.file('admin')
      subject.write(`admin: { address: 'unix:${socket}', token: ${two} }`)
      assert.equal(await ask(first, '/reload', 'POST', two), 200)
      // Who reads there is not held.
      await ended
      assert.equal(await ask(first, '/healthz'), 'ECONNREFUSED')
      const status = await get(socket, '/status')
      assert.match(status.body, /"history"/)

      // From one address of a port to all of that port, which cannot be had at a time.
      subject.write(`admin: { address: '127.0.0.1:${first}', token: ${two} }`)
      subject.child.process.kill('SIGHUP')
      await subject.child.saidTimes(2, new RegExp(`admin listener on 127\\.0\\.0\\.1:${first}`))
      subject.write(`admin: { address: '0.0.0.0:${first}', token: ${two}, public: true }`)
      assert.equal(await ask(first, '/reload', 'POST', two), 200)
      await subject.child.said(new RegExp(`admin listener on 0\\.0\\.0\\.0:${first}`))
      assert.equal(await ask(first, '/readyz'), 200)

      subject.write('')
      subject.child.process.kill('SIGHUP')
      await subject.child.said(/there is no admin listener any more/)
      assert.equal((await get(subject.port, '/')).status, 200)
      subject.child.process.kill('SIGTERM')
      assert.equal(await subject.child.exitCode, 0)
    })

    test('what cannot be had changes nothing, and says why', async () => {
      await using subject = await Subject.start(answering, "accessLog: { destination: FOLDER/one.log }\nadmin: '127.0.0.1:0'")
      const admin = adminPort(await subject.child.said(/admin listener on/))
      const changed = 'accessLog: { destination: FOLDER/none/two.log }\nadmin: 127.0.0.2:0\nvia: other'
      subject.write(changed)
      await subject.child.said(/was not reloaded.*cannot open the access log .*the folder does not exist/)
      subject.write(`accessLog: { destination: FOLDER/two.log }\nadmin: 127.0.0.1:${subject.port}`)
      await subject.child.said(/was not reloaded.*the admin listener cannot listen on 127\.0\.0\.1:\d+: /)
      assert.equal(await ask(admin, '/readyz'), 200)
      assert.equal((await get(subject.port, '/still')).status, 200)
      const { body } = await get(admin, '/config')
      assert.match(body, /one\.log/)
      subject.child.process.kill('SIGTERM')
      assert.equal(await subject.child.exitCode, 0)
      assert.deepEqual(targetsOf(subject.logged('one.log')), ['/still'])
      assert.deepEqual(subject.logged('two.log'), [])
    })

    test('another log level holds, and what an operator has set until then', async () => {
      const token = 'a-token-of-some-length'
      const admin = `admin: { address: '127.0.0.1:0', token: ${token} }\n`
      await using subject = await Subject.start(answering, admin)
      const port = adminPort(await subject.child.said(/admin listener on/))
      subject.write(`${admin}log: { level: warn }`)
      assert.equal(await ask(port, '/reload', 'POST', token), 200)
      subject.write(`${admin}log: { level: warn }\nvia: other`)
      assert.equal(await ask(port, '/reload', 'POST', token), 200)
      assert.doesNotMatch(subject.child.stderrText, /configuration reloaded/)
      subject.write(`${admin}log: { level: info }`)
      assert.equal(await ask(port, '/reload', 'POST', token), 200)
      await subject.child.said(/configuration reloaded/)
    })

    test('what takes a restart is named, and all else is taken', async () => {
      await using subject = await Subject.start('routes: [{ name: all, answer: one }]', `workers: ${workers}`)
      const line = await subject.reload(`workers: ${workers === 1 ? 2 : workers}\nsocketAccess: streams\naccessLog: FOLDER/one.log`)
      if (workers === 1) assert.match(line, /"level":"warn".*but for what takes a restart: workers, socketAccess"/)
      else assert.match(line, /"configuration reloaded"/)
      assert.equal((await get(subject.port, '/')).status, 200)
      await until(
        () => subject.logged('one.log').length === 1,
        () => 'the line of the request',
      )
    })

    test('SIGTERM in the middle of a reload is quiet', async () => {
      await using subject = await Subject.start('routes: [{ name: all, answer: one }]', `workers: ${workers}`)
      // A new listener replaces workers, which takes its time.
      subject.write(`workers: ${workers}`.concat(`\nadmin: '127.0.0.1:0'`))
      subject.child.process.kill('SIGHUP')
      subject.child.process.kill('SIGTERM')
      assert.equal(await subject.child.exitCode, 0)
      assert.doesNotMatch(subject.child.stderrText, /"level":"error"/)
    })
  })
}
