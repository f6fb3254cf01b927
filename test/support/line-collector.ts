/** Who takes lines on a unix socket, from whoever connects: where an access log goes. */
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import { descriptorOf } from '../../lib/net/socket-descriptor.ts'
import { until } from './patience.ts'

export class LineCollector implements AsyncDisposable {
  readonly connected: Promise<net.Socket>
  readonly #server: net.Server
  readonly #sockets = new Set<net.Socket>()
  #text = ''

  /** Without `reads`, what comes stays in the buffers. */
  static async listen(file: string, reads = true): Promise<LineCollector> {
    const server = net.createServer({ pauseOnConnect: !reads })
    const collector = new LineCollector(server)
    server.listen(file)
    await once(server, 'listening')
    return collector
  }

  private constructor(server: net.Server) {
    this.#server = server
    this.connected = new Promise((resolve) => {
      server.on('connection', (socket) => {
        this.#sockets.add(socket)
        socket.setEncoding('latin1').on('data', (text: string) => (this.#text += text))
        resolve(socket)
      })
    })
  }

  /** When there are so many. */
  async lines(count: number): Promise<string[]> {
    const lines = (): string[] => this.#text.split('\n').slice(0, -1)
    await until(
      () => lines().length >= count,
      () => `${count} lines, of which ${lines().length} have come`,
    )
    return lines()
  }

  /** Takes what has come, and closes before anything else can. */
  async takeAndGo(): Promise<string> {
    const fd = descriptorOf(await this.connected)
    let text = ''
    await until(
      () => (text += readNow(fd)) !== '',
      () => 'the first bytes',
    )
    await this[Symbol.asyncDispose]()
    return text
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }
}

/** Everything that a non-blocking descriptor gives at this moment. */
function readNow(fd: number): string {
  const chunk = Buffer.alloc(65_536)
  let text = ''
  try {
    for (let bytes = 1; bytes > 0; text += chunk.toString('latin1', 0, bytes)) bytes = fs.readSync(fd, chunk)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
  }
  return text
}
