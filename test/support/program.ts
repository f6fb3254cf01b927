/**
 * Programs that tests run beside themselves: where they are, commands that run to their end, and servers that run until the test is over.
 * Every process is a child of the test and is ended by its pid.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { delimiter, join } from 'node:path'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'

/** Why a test that needs these programs cannot run here; false when it can: the value of `skip`. */
export function isMissing(...names: readonly string[]): string | false {
  const missing = names.filter((name) => findProgram(name) === undefined)
  return missing.length === 0 ? false : `${missing.join(' and ')} not installed`
}

/** Path of a program. Servers stand where the PATH of a user may not lead. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path))
}

export interface CommandResult {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

const commandMsMax = 60_000

/**
 * Runs a program to its end. `input` is what it gets on standard input, piece by piece. A program that is not done after `msMax` is taken for one that
 * hangs and is ended: its exit code is null then.
 */
export async function runCommand(
  name: string,
  args: readonly string[],
  input: readonly (string | Buffer)[] = [],
  msMax = commandMsMax,
): Promise<CommandResult> {
  const child = spawn(findProgram(name) ?? name, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: msMax, killSignal: 'SIGKILL' })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  // A program that has enough closes its input early; its exit code tells whether that was right.
  child.stdin.on('error', () => child.stdin.destroy())
  const closed = once(child, 'close') as Promise<[code: number | null]>
  for (const piece of input) child.stdin.write(piece)
  child.stdin.end()
  const [code] = await closed
  return { code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }
}

/** How often a server may find the port taken that was free a moment before. */
const startsMax = 3
const pollMs = 10
const startMsMax = 10_000

/** A server that runs in the foreground, on a TCP port of 127.0.0.1. */
export class ServerProgram implements AsyncDisposable {
  readonly port: number
  readonly pid: number
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>

  private constructor(child: ChildProcess, port: number, exit: Promise<unknown>) {
    this.#child = child
    this.#exit = exit
    this.port = port
    this.pid = child.pid!
  }

  /** Starts `name` with the arguments for a free port, or for `wanted`, which it had before. Resolves when it accepts connections. */
  static async start(name: string, argsFor: (port: number) => readonly string[], wanted?: number): Promise<ServerProgram> {
    for (let attempt = 1; ; attempt++) {
      const port = wanted ?? (await findFreePort())
      const child = spawn(findProgram(name) ?? name, argsFor(port), { stdio: ['ignore', 'ignore', 'pipe'] })
      let said = ''
      child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
      const exit = new Promise<void>((resolve, reject) => child.once('close', () => resolve()).once('error', reject))
      const server = new ServerProgram(child, port, exit)
      if (await server.#accepts()) return server
      await server[Symbol.asyncDispose]()
      if (attempt === startsMax) throw new Error(`${name} did not start: ${said}`)
    }
  }

  async #accepts(): Promise<boolean> {
    const deadline = performance.now() + startMsMax
    // There is no event for "listens now" of a program of others: it is asked until it answers.
    while (this.#child.exitCode === null && performance.now() < deadline) {
      if (await isOpen(this.port)) return true
      await delay(pollMs)
    }
    return false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#exit
  }
}

/** For those who cannot choose a port by themselves, and for addresses where nobody listens. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      // A connect to a port of the ephemeral range that nobody listens on can meet itself.
      resolve(socket.localPort !== port)
      socket.destroy()
    })
  })
}
