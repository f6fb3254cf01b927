/**
 * What takes connections where a Redis is expected, and does as a test says: it hangs up at once, talks nonsense, or answers scripts, as the real
 * one does or with an error.
 */
import { once } from 'node:events'
import net from 'node:net'

export type RedisManner = 'hang-up' | 'nonsense' | 'answer' | 'refuse'

const answer = '*2\r\n:0\r\n$1\r\n0\r\n'

export class UnrulyRedis implements AsyncDisposable {
  /** When each connection came. */
  readonly connectedAt: number[] = []
  manner: RedisManner
  /** The line of an error, for 'refuse'. */
  refusal = 'ERR no'
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()

  static async start(manner: RedisManner): Promise<UnrulyRedis> {
    const server = net.createServer()
    const redis = new UnrulyRedis(server, manner)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return redis
  }

  private constructor(server: net.Server, manner: RedisManner) {
    this.#server = server
    this.manner = manner
    server.on('connection', (socket) => this.#serve(socket))
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`
  }

  #serve(socket: net.Socket): void {
    this.connectedAt.push(performance.now())
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket)).on('error', () => socket.destroy())
    if (this.manner === 'hang-up') return void socket.destroy()
    if (this.manner === 'nonsense') socket.write('220 mail.example ESMTP\r\n')
    socket.setEncoding('latin1').on('data', (text: string) => {
      // A client asks for nothing but scripts; each begins with this word.
      const questions = text.match(/\r\neval(?:sha)?\r\n/gi)?.length ?? 0
      for (let i = 0; i < questions; i++) this.#reply(socket)
    })
  }

  #reply(socket: net.Socket): void {
    switch (this.manner) {
      case 'answer':
        return void socket.write(answer)
      case 'refuse':
        return void socket.write(`-${this.refusal}\r\n`)
      case 'nonsense':
        return void socket.write('hello\r\n')
      case 'hang-up':
        socket.destroy()
    }
  }

  /** The connections that there are end. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.hangUp()
    await once(this.#server, 'close')
  }
}
