/**
 * Runs eproxy itself as the proxy under test: one child process with one upstream, on a free loopback port. A crash is a finding, not
 * the end of the run: the child is started again on the same port so that the cases behind it are judged on their own, and crashes are
 * counted. Owns the child; stop() ends it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Endpoint } from './client.ts'

export interface ProxyProcessOptions {
  /** The program and its first arguments. */
  readonly command: readonly [program: string, ...args: string[]]
  readonly originPort: number
  readonly flags: readonly string[]
}

const startMsMax = 10_000
const stopMsMax = 3_000
const crashMax = 50
const errorTailBytes = 4_000

export class ProxyProcess {
  readonly #options: ProxyProcessOptions
  #port = 0
  #child: ChildProcess | undefined
  #isStopping = false
  crashCount = 0
  /** The end of what the child wrote to standard error. */
  errorTail = ''

  private constructor(options: ProxyProcessOptions) {
    this.#options = options
  }

  /** Resolves when the proxy listens. */
  static async start(options: ProxyProcessOptions): Promise<ProxyProcess> {
    const proxy = new ProxyProcess(options)
    try {
      await proxy.#awaitListening(proxy.#spawn())
    } catch (error) {
      await proxy.stop()
      throw error
    }
    return proxy
  }

  #awaitListening(child: ChildProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: Error | undefined): void => {
        clearTimeout(timeout)
        child.off('exit', onExit).off('error', settle)
        child.stderr?.off('data', onData)
        if (error === undefined) resolve()
        else reject(error)
      }
      const onExit = (): void => settle(new Error(`eproxy did not start: ${this.errorTail.trim()}`))
      const onData = (): void => {
        const port = /"address":"127\.0\.0\.1:([0-9]+)"/.exec(this.errorTail)?.[1]
        if (port === undefined) return
        this.#port = Number(port)
        child.once('exit', () => this.#onExit())
        settle(undefined)
      }
      const timeout = setTimeout(() => settle(new Error('eproxy did not start in time')), startMsMax)
      child.once('exit', onExit).once('error', settle)
      child.stderr?.on('data', onData)
    })
  }

  get endpoint(): Endpoint {
    return { host: '127.0.0.1', port: this.#port }
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    const child = this.#child
    if (child === undefined || child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    const giveUp = setTimeout(() => child.kill('SIGKILL'), stopMsMax)
    await exited
    clearTimeout(giveUp)
  }

  #spawn(): ChildProcess {
    const [program, ...args] = this.#options.command
    const own = [
      '--listen',
      `127.0.0.1:${this.#port}`,
      '--upstream',
      `127.0.0.1:${this.#options.originPort}`,
      '--workers',
      '1',
      '--log-format',
      'json',
    ]
    this.#child = spawn(program, [...args, ...own, ...this.#options.flags], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.errorTail = (this.errorTail + chunk.toString()).slice(-errorTailBytes)
    })
    return this.#child
  }

  #onExit(): void {
    if (this.#isStopping) return
    this.crashCount += 1
    if (this.crashCount <= crashMax) this.#spawn().once('exit', () => this.#onExit())
  }
}
