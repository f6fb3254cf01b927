/** Who takes the lines of the access log during a run: a unix socket, and of each line what the judgement needs. */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { markOf, type LoggedExchange } from './losses.ts'

export class LineSocket implements AsyncDisposable {
  /** By the mark of the request. */
  readonly lines = new Map<string, LoggedExchange>()
  /** Marks that came more than once: a request has one line. */
  repeated = 0
  /** What does not read as a line. */
  broken = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  static async listen(path: string): Promise<LineSocket> {
    const socket = new LineSocket()
    socket.#server.listen(path)
    await once(socket.#server, 'listening')
    return socket
  }

  private constructor() {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      createInterface({ input: socket }).on('line', (line) => this.#take(line))
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await once(this.#server, 'close')
  }

  #take(text: string): void {
    let line: LoggedExchange
    try {
      line = JSON.parse(text) as LoggedExchange
    } catch {
      this.broken += 1
      return
    }
    const mark = markOf(line.target)
    if (mark === '') return
    if (this.lines.has(mark)) this.repeated += 1
    this.lines.set(mark, line)
  }
}
