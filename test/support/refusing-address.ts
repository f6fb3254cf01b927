/**
 * An address at which nobody listens and, as long as it is held, nobody can begin to: it is the local end of a connection. Who connects
 * to it is refused by the kernel.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

export class RefusingAddress {
  readonly address: string
  readonly #server: Server
  readonly #socket: Socket

  /** Held until the test is over. */
  static async hold(t: Pick<TestContext, 'after'>): Promise<RefusingAddress> {
    const server = createServer((accepted) => accepted.on('error', () => {})).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    await once(socket, 'connect')
    const held = new RefusingAddress(server, socket)
    t.after(() => held.#release())
    return held
  }

  private constructor(server: Server, socket: Socket) {
    this.#server = server
    this.#socket = socket
    this.address = `127.0.0.1:${socket.localPort}`
  }

  #release(): void {
    this.#socket.resetAndDestroy()
    this.#server.close()
  }
}
