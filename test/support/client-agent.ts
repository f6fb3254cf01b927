/** A keep-alive agent of node:http with so many connections, closed at the end of its block. */
import http from 'node:http'

export class ClientAgent implements Disposable {
  readonly agent: http.Agent

  constructor(connections: number) {
    this.agent = new http.Agent({ keepAlive: true, maxSockets: connections })
  }

  [Symbol.dispose](): void {
    this.agent.destroy()
  }
}
