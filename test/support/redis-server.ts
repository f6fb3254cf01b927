/** A real Redis on a free port of 127.0.0.1, which keeps nothing on disk. It can be made to stand still, be killed, and come back. */
import { Redis } from 'ioredis'
import { ServerProgram } from './program.ts'
import type { CertificateFiles } from './certificate.ts'
import { TemporaryFolder } from './temporary-folder.ts'

export interface RedisServerOptions {
  readonly password?: string
  /** Instead of plain TCP: it shows this certificate, and asks clients for one that it has signed. */
  readonly tls?: CertificateFiles
}

export class RedisServer implements AsyncDisposable {
  readonly #folder: TemporaryFolder
  readonly #options: RedisServerOptions
  #program: ServerProgram
  #admin: Redis | undefined

  private constructor(folder: TemporaryFolder, options: RedisServerOptions, program: ServerProgram) {
    this.#folder = folder
    this.#options = options
    this.#program = program
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const folder = new TemporaryFolder()
    try {
      return new RedisServer(folder, options, await ServerProgram.start('redis-server', (port) => makeArguments(port, folder, options)))
    } catch (error) {
      folder[Symbol.dispose]()
      throw error
    }
  }

  get port(): number {
    return this.#program.port
  }

  get url(): string {
    return `${this.#options.tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${this.port}`
  }

  /** A connection of the test's own: to look at what is there, and to spoil it. */
  get admin(): Redis {
    if (this.#admin === undefined) {
      const { password } = this.#options
      this.#admin = new Redis({ port: this.port, ...(password !== undefined && { password }), protocol: 2 })
      // It loses its connection whenever the server is killed.
      this.#admin.on('error', () => {})
    }
    return this.#admin
  }

  /** It takes connections and octets, and does nothing with them. */
  freeze(): void {
    process.kill(this.#program.pid, 'SIGSTOP')
  }

  thaw(): void {
    process.kill(this.#program.pid, 'SIGCONT')
  }

  async kill(): Promise<void> {
    this.#admin?.disconnect()
    this.#admin = undefined
    await this.#program[Symbol.asyncDispose]()
  }

  /** Again on the same port, empty. */
  async restart(): Promise<void> {
    const { port } = this
    this.#program = await ServerProgram.start('redis-server', () => makeArguments(port, this.#folder, this.#options), port)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    this.#folder[Symbol.dispose]()
  }
}

function makeArguments(port: number, folder: TemporaryFolder, { password, tls }: RedisServerOptions): readonly string[] {
  const options = ['--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', folder.path]
  if (tls === undefined) options.push('--port', String(port))
  else {
    const { certificate, key } = tls
    options.push('--port', '0', '--tls-port', String(port), '--tls-cert-file', certificate, '--tls-key-file', key)
    options.push('--tls-ca-cert-file', certificate, '--tls-auth-clients', 'yes')
  }
  return password === undefined ? options : [...options, '--requirepass', password]
}
