/** The command as a child process of a test: what it prints where, how it ends, and requests to it. */
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { patiently } from './patience.ts'

export const mainPath = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url))

export class RunningCommand {
  readonly process: ChildProcessByStdio<null, Readable, Readable>
  /** When its output is closed, by its workers too. Null when a signal ended it. */
  readonly exitCode: Promise<number | null>
  stdoutText = ''
  stderrText = ''

  /** `nodeArgs` are for node itself, and reach workers too. Of the variables of tests, EPROXY_SOCKETS and others, none gets there. */
  constructor(args: readonly string[], nodeArgs: readonly string[] = [], environment: NodeJS.ProcessEnv = {}) {
    this.process = spawn(process.execPath, [...nodeArgs, mainPath, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...withoutFlags(process.env), NO_COLOR: '1', ...environment },
    })
    this.process.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdoutText += text))
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderrText += text))
    this.exitCode = new Promise((resolve, reject) => this.process.on('error', reject).on('close', resolve))
  }

  /** The first so many lines on standard error that match, now or later. */
  async saidTimes(times: number, pattern: RegExp): Promise<readonly string[]> {
    const said = new Promise<readonly string[]>((resolve, reject) => {
      const look = (): void => {
        const lines = this.stderrText
          .split('\n')
          .slice(0, -1)
          .filter((candidate) => pattern.test(candidate))
        if (lines.length >= times) resolve(lines.slice(0, times))
      }
      this.process.stderr.on('data', look)
      look()
      void this.exitCode.then((code) => reject(new Error(`ended with ${code} without ${pattern}: ${this.stderrText}`)))
    })
    return patiently(said, () => `${times} times ${pattern} in ${this.stderrText}`)
  }

  async said(pattern: RegExp): Promise<string> {
    const [line] = await this.saidTimes(1, pattern)
    return line!
  }
}

function withoutFlags(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('EPROXY_')))
}

export async function runToEnd(
  args: readonly string[],
  nodeArgs: readonly string[] = [],
  environment: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = new RunningCommand(args, nodeArgs, environment)
  try {
    const code = await patiently(child.exitCode, () => `the end of the command; it says ${child.stderrText}`)
    return { code, stdout: child.stdoutText, stderr: child.stderrText }
  } finally {
    child.process.kill('SIGKILL')
  }
}

/** The command, listening on a free port of 127.0.0.1. */
export class RunningProxy implements AsyncDisposable {
  readonly child: RunningCommand
  readonly port: number
  /** The line that says so. */
  readonly listening: string

  static async start(args: readonly string[], nodeArgs: readonly string[] = []): Promise<RunningProxy> {
    const child = new RunningCommand(['--listen', '127.0.0.1:0', '--log-format', 'json', ...args], nodeArgs)
    return new RunningProxy(child, await child.said(/listening on 127\.0\.0\.1:/))
  }

  private constructor(child: RunningCommand, listening: string) {
    this.child = child
    this.listening = listening
    this.port = Number(/:(\d+)$/.exec(JSON.parse(listening).address)?.[1])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.process.kill('SIGKILL')
    await this.child.exitCode
  }
}

/** One request on a connection of its own, to a port of 127.0.0.1 or a socket file. */
export async function get(place: number | string, target: string): Promise<{ status: number | undefined; body: string }> {
  const where = typeof place === 'number' ? { host: '127.0.0.1', port: place } : { socketPath: place }
  const request = http.get({ ...where, path: target, agent: false, headers: { host: 'localhost' } })
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  let body = ''
  for await (const chunk of response.setEncoding('utf8')) body += chunk
  return { status: response.statusCode, body }
}
