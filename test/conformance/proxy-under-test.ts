/**
 * Starts eproxy itself as the proxy under test: one child process with one upstream, on a free loopback port. A crash is a
 * finding, not the end of the run: the child is started again on the same port so that the cases behind it are judged on their
 * own, and the count of crashes is reported. Owns the child; stop() ends it.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Endpoint } from './client.ts'

const entryPoint = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url))
const acceptMsMax = 10_000
const stopMsMax = 3_000
const crashMax = 50
const errorTailBytes = 4_000

export class ProxyUnderTest {
  readonly endpoint: Endpoint
  readonly #arguments: readonly string[]
  #child: ChildProcess | null = null
  #isStopping = false
  /** From then on an exit is a crash in service. */
  #hasServed = false
  crashCount = 0
  /** The end of what the child wrote to stderr. */
  errorTail = ''

  private constructor(port: number, originPort: number, extraArguments: readonly string[]) {
    this.endpoint = { host: '127.0.0.1', port }
    this.#arguments = ['--listen', `127.0.0.1:${port}`, '--upstream', `127.0.0.1:${originPort}`, '--workers', '1', ...extraArguments]
  }

  /** Resolves when the proxy accepts connections. */
  static async start(originPort: number, extraArguments: readonly string[]): Promise<ProxyUnderTest> {
    const proxy = new ProxyUnderTest(await findFreePort(), originPort, extraArguments)
    proxy.#spawn()
    const startedAt = performance.now()
    while (!(await accepts(proxy.endpoint))) {
      if (proxy.crashCount > 0 || performance.now() - startedAt > acceptMsMax) {
        await proxy.stop()
        throw new Error(`eproxy did not start:\n${proxy.errorTail}`)
      }
      await delay(50)
    }
    proxy.#hasServed = true
    return proxy
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    const child = this.#child
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    const giveUp = setTimeout(() => child.kill('SIGKILL'), stopMsMax)
    await exited
    clearTimeout(giveUp)
  }

  #spawn(): void {
    const child = spawn(process.execPath, [entryPoint, ...this.#arguments], { stdio: ['ignore', 'ignore', 'pipe'] })
    child.stderr.on('data', (chunk: Buffer) => {
      this.errorTail = (this.errorTail + chunk.toString()).slice(-errorTailBytes)
    })
    child.on('exit', () => {
      if (this.#isStopping) return
      this.crashCount += 1
      // The first start is judged by start(): a proxy that cannot start at all is not started over and over.
      if (this.crashCount <= crashMax && this.#hasServed) this.#spawn()
    })
    this.#child = child
  }
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function accepts(endpoint: Endpoint): Promise<boolean> {
  const socket = connect(endpoint)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
