/**
 * What the example consists of, as processes: three servers, a Redis where there is one, and the proxy that its configuration makes. It starts them,
 * kills, stops and brings back single ones, and ends all of them. It sends no request.
 */
import { once } from 'node:events'
import { renameSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { programPath } from '../e2e/peers.ts'
import { processTree } from '../process-figures.ts'
import type { ProcessSet, StartedProcess } from '../process-set.ts'
import { configurationFor, type Places } from './places.ts'

const originPath = fileURLToPath(new URL('origin.js', import.meta.url))
const cliPath = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url))
/** Within a folder of its own. */
const configurationName = 'eproxy.yaml'
const startMs = 20_000
const pollMs = 20

export interface StageOptions {
  readonly places: Places
  /** For the configuration and what Redis leaves. */
  readonly directory: string
  readonly token: string
  /** What is in the configuration instead of the example's text. */
  readonly edit?: (text: string) => string
}

export class Stage {
  readonly places: Places
  readonly hasRedis = programPath('redis-server') !== null
  readonly #processes: ProcessSet
  readonly #options: StageOptions
  readonly #servers: (StartedProcess | undefined)[] = []
  #redis: StartedProcess | undefined
  #proxy: StartedProcess | undefined
  /** Lines of the proxy's log. */
  readonly #said: string[] = []

  constructor(processes: ProcessSet, options: StageOptions) {
    this.#processes = processes
    this.#options = options
    this.places = options.places
  }

  get configurationPath(): string {
    return join(this.#options.directory, configurationName)
  }

  get configuration(): string {
    const { places, edit = (text) => text } = this.#options
    return edit(configurationFor(places))
  }

  get proxy(): StartedProcess {
    if (this.#proxy === undefined) throw new Error('the proxy was not started')
    return this.#proxy
  }

  async start(): Promise<void> {
    await Promise.all(this.places.servers.map((_, index) => this.startServer(index)))
    if (this.hasRedis) await this.startRedis()
    await this.#startProxy()
  }

  async startServer(index: number): Promise<void> {
    const port = portOf(this.places.servers[index]!)
    const name = `server-${index + 1}`
    const server = await this.#processes.start({
      name,
      command: process.execPath,
      args: [originPath, name, String(port)],
      core: null,
      withChannel: true,
    })
    this.#servers[index] = server
    await firstOf(server, once(server.child, 'message'))
  }

  /** Without a farewell: its connections end as the kernel ends them. */
  async killServer(index: number): Promise<void> {
    const server = this.#servers[index]!
    server.child.kill('SIGKILL')
    await server.exit
  }

  async startRedis(): Promise<void> {
    const port = portOf(this.places.redis)
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', this.#options.directory]
    const redis = await this.#processes.start({ name: 'redis-server', command: programPath('redis-server')!, args, core: null })
    this.#redis = redis
    await firstOf(redis, accepts(port))
  }

  /** It keeps its connections and says nothing more, as a machine does that hangs. */
  stopRedis(): void {
    this.#redis!.child.kill('SIGSTOP')
  }

  continueRedis(): void {
    this.#redis!.child.kill('SIGCONT')
  }

  async killRedis(): Promise<void> {
    this.#redis!.child.kill('SIGKILL')
    await this.#redis!.exit
  }

  /** By another file that takes its place, as editors and deployments do. */
  writeConfiguration(text: string): void {
    const path = `${this.configurationPath}.new`
    writeFileSync(path, text)
    renameSync(path, this.configurationPath)
  }

  /** The first line of the proxy's log from `since` on that matches, now or later. */
  async proxySays(pattern: RegExp, since: number): Promise<string> {
    const deadline = Date.now() + startMs
    for (let at = since; ;) {
      for (; at < this.#said.length; at += 1) if (pattern.test(this.#said[at]!)) return this.#said[at]!
      if (this.proxy.hasExited || Date.now() > deadline) break
      await delay(pollMs)
    }
    throw new Error(`the proxy did not say ${pattern}, but: ${this.#said.slice(since).slice(-10).join('\n')}`)
  }

  /** A mark for `proxySays`: lines so far. */
  get proxyHasSaid(): number {
    return this.#said.length
  }

  get proxyLog(): string {
    return this.#said.map((line) => `${line}\n`).join('')
  }

  /** Those that serve. */
  get workerPids(): readonly number[] {
    return processTree(this.proxy.pid)
      .map(({ pid }) => pid)
      .filter((pid) => pid !== this.proxy.pid)
  }

  async #startProxy(): Promise<void> {
    this.writeConfiguration(this.configuration)
    process.env['EXAMPLE_ADMIN_TOKEN'] = this.#options.token
    this.#proxy = await this.#processes.start({
      name: 'eproxy',
      command: process.execPath,
      args: [cliPath, '--config', this.configurationPath, '--log-format', 'json'],
      core: null,
    })
    createInterface({ input: this.#proxy.child.stderr! }).on('line', (line) => this.#said.push(line))
    await this.proxySays(/listening on /, 0)
  }
}

export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1))
}

/** What is waited for, or an error when the process ends before. */
async function firstOf(started: StartedProcess, wait: Promise<unknown>): Promise<void> {
  const ended = started.exit.then(() => {
    throw new Error(`${started.name} ended at its start: ${(started.stderr + started.stdout).trim().slice(-500)}`)
  })
  ended.catch(() => {})
  wait.catch(() => {})
  await Promise.race([
    wait,
    ended,
    delay(startMs, undefined, { ref: false }).then(() => Promise.reject(new Error(`${started.name} does not start`))),
  ])
}

async function accepts(port: number): Promise<void> {
  for (;;) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (isOpen) return
    await delay(pollMs)
  }
}
