/** A tunnel that stays open for the whole run: what goes in comes back, in order, or it is counted. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const pingMs = 50

export class Tunnel {
  readonly #socket: Socket
  readonly #timer: NodeJS.Timeout
  /** The server at its other end. */
  readonly server: string
  pings = 0
  pongs = 0
  hasEnded = false
  #carry = ''

  /** Through the proxy, to a server that is none of `except`: others are tried until there is one. */
  static async open(port: number, host: string, except: readonly string[]): Promise<Tunnel> {
    for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true }).setEncoding('latin1')
      socket.on('error', () => {})
      socket.write(`GET /tunnel HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`)
      const [head] = (await once(socket, 'data')) as [string]
      const server = /^HTTP\/1\.1 101 [^]*\r\nx-server: *(\S+)/i.exec(head)?.[1]
      if (server !== undefined && !except.includes(server)) return new Tunnel(socket, server)
      socket.destroy()
    }
    throw new Error(`no tunnel to a server that is none of ${except.join(', ')}`)
  }

  private constructor(socket: Socket, server: string) {
    this.#socket = socket
    this.server = server
    socket.on('data', (text: string) => this.#onText(text))
    socket.once('close', () => (this.hasEnded = true))
    this.#timer = setInterval(() => {
      if (!this.hasEnded) socket.write(`ping ${(this.pings += 1)}\n`)
    }, pingMs)
  }

  /** Resolves when all that was sent has come back, or the tunnel has ended. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#socket.end()
    if (!this.hasEnded) await once(this.#socket, 'close')
  }

  #onText(text: string): void {
    const lines = (this.#carry + text).split('\n')
    this.#carry = lines.pop()!
    for (const line of lines) if (line === `ping ${this.pongs + 1}`) this.pongs += 1
  }
}

const attemptsMax = 40
