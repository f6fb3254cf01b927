/**
 * Debian's chromium, headless, with one page that a test looks into: by the DevTools protocol, over a WebSocket. Everything that a page
 * says wrong (exceptions, breaches of its content policy, console errors) is kept. Ended with the test, by its process.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { WebSocket } from 'ws'
import { patiently } from './patience.ts'
import { findProgram } from './program.ts'
import { TemporaryFolder } from './temporary-folder.ts'

interface Answer {
  readonly id?: number
  readonly method?: string
  readonly params?: unknown
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly message: string }
}

export class Browser implements AsyncDisposable {
  readonly #profile: TemporaryFolder
  readonly #child: ChildProcess
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  readonly complaints: string[] = []
  readonly #exit: Promise<unknown>
  #session = ''
  #lastId = 0

  static async start(): Promise<Browser> {
    const profile = new TemporaryFolder()
    // oxfmt-ignore
    const child = spawn(findProgram('chromium') ?? 'chromium', [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
      '--disable-sync', '--hide-scrollbars', '--remote-debugging-port=0', `--user-data-dir=${profile.path}`, 'about:blank',
    ], { stdio: ['ignore', 'ignore', 'pipe'] })
    for await (const line of createInterface({ input: child.stderr })) {
      const url = /^DevTools listening on (ws:\S+)/.exec(line)?.[1]
      if (url === undefined) continue
      child.stderr.resume()
      const socket = new WebSocket(url)
      await once(socket, 'open')
      const browser = new Browser(profile, child, socket)
      await browser.#openPage()
      return browser
    }
    throw new Error('chromium ended before it listened')
  }

  private constructor(profile: TemporaryFolder, child: ChildProcess, socket: WebSocket) {
    this.#profile = profile
    this.#child = child
    this.#socket = socket
    this.#exit = once(child, 'exit')
    socket.on('message', (data: Buffer) => this.#onMessage(JSON.parse(data.toString()) as Answer))
  }

  async show(url: string, { width = 1_280, height = 900, dark = false } = {}): Promise<void> {
    await this.#ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false })
    await this.#ask('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }] })
    await this.#ask('Page.navigate', { url })
  }

  /** What an expression is worth in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const { result } = await this.#ask('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true })
    return (result as { value?: unknown }).value
  }

  /** Waits in the page until an expression is true there. */
  async until(expression: string): Promise<void> {
    const wait = `new Promise((resolve) => { const look = () => { try { if (${expression}) return resolve(true) } catch {} setTimeout(look, 20) }; look() })`
    await patiently(this.evaluate(wait), () => `${expression} in the page; it says ${this.complaints.join(' | ')}`)
  }

  async screenshot(format: 'png' | 'webp' = 'webp'): Promise<Buffer> {
    const { data } = await this.#ask('Page.captureScreenshot', { format, quality: 80, captureBeyondViewport: false })
    return Buffer.from(String(data), 'base64')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Its other processes end with it only when it ends by itself.
    const isAsked = await patiently(this.#ask('Browser.close', {}), () => 'the end of chromium').then(
      () => true,
      () => false,
    )
    if (isAsked) await patiently(this.#exit, () => 'the end of chromium').catch(() => {})
    this.#socket.terminate()
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const closed = once(this.#child, 'exit')
      this.#child.kill('SIGKILL')
      await closed
    }
    this.#profile[Symbol.dispose]()
  }

  async #openPage(): Promise<void> {
    const { targetId } = await this.#ask('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await this.#ask('Target.attachToTarget', { targetId, flatten: true })
    this.#session = String(sessionId)
    for (const domain of ['Page', 'Runtime', 'Log']) await this.#ask(`${domain}.enable`, {})
  }

  async #ask(method: string, params: object): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#lastId
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve))
    this.#socket.send(JSON.stringify({ id, method, params, ...(this.#session !== '' && { sessionId: this.#session }) }))
    const { result, error } = await answered
    if (error !== undefined) throw new Error(`${method}: ${error.message}`)
    return result ?? {}
  }

  #onMessage(answer: Answer): void {
    if (answer.id !== undefined) {
      this.#waiting.get(answer.id)?.(answer)
      this.#waiting.delete(answer.id)
      return
    }
    if (answer.method === 'Runtime.exceptionThrown' || answer.method === 'Log.entryAdded')
      this.complaints.push(JSON.stringify(answer.params))
  }
}
