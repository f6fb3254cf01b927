/**
 * A server whose queue of connections is full and that never takes one: who connects gets no answer at all. It lives in a thread of its
 * own that stands still, because a Node server accepts on its own whenever its event loop turns. Works on Linux, which drops a
 * connection for which the queue has no place.
 */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { patiently } from './patience.ts'

const source = `
  const net = require('node:net')
  const { parentPort, workerData } = require('node:worker_threads')
  const server = net.createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port)
    // From here on nobody accepts.
    setImmediate(() => Atomics.wait(workerData, 0, 0))
  })`

export class DeafServer {
  readonly address: string
  readonly #worker: Worker
  readonly #fillers: Socket[] = []

  /** Gone when the test is over. */
  static async start(t: TestContext): Promise<DeafServer> {
    const worker = new Worker(source, { eval: true, workerData: new Int32Array(new SharedArrayBuffer(4)) })
    const [port] = (await patiently(once(worker, 'message'), () => 'a server in a thread')) as [number]
    const server = new DeafServer(worker, port)
    t.after(() => server.#stop())
    await server.#fill(port)
    return server
  }

  private constructor(worker: Worker, port: number) {
    this.#worker = worker
    this.address = `127.0.0.1:${port}`
  }

  /** A backlog of 1 holds two connections; a third one is not answered. */
  async #fill(port: number): Promise<void> {
    for (let i = 0; i < 2; i++) {
      const filler = connect({ host: '127.0.0.1', port })
      filler.on('error', () => {})
      this.#fillers.push(filler)
      await patiently(once(filler, 'connect'), () => 'a place in the queue')
    }
  }

  async #stop(): Promise<void> {
    for (const filler of this.#fillers) filler.destroy()
    await this.#worker.terminate()
  }
}
