/** The proxy as its users run it: the command in one process of its own, which is the one that serves, on a free port, ended with the test. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const mainPath = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url))

export class ProxyProgram implements AsyncDisposable {
  readonly pid: number
  readonly port: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.pid = child.pid!
    this.port = port
  }

  /** Resolves when it listens. */
  static async start(args: readonly string[]): Promise<ProxyProgram> {
    const child = spawn(process.execPath, [mainPath, '--listen', '127.0.0.1:0', '--workers', '1', '--log-format', 'json', ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const said: string[] = []
    for await (const line of createInterface({ input: child.stderr })) {
      said.push(line)
      const port = /"address":"127\.0\.0\.1:(\d+)"/.exec(line)?.[1]
      if (port === undefined) continue
      // What it says from now on is not read, and must not fill the pipe.
      child.stderr.resume()
      return new ProxyProgram(child, Number(port))
    }
    throw new Error(`the proxy did not start: ${said.join('\n')}`)
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.isRunning) return
    const closed = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await closed
  }
}
