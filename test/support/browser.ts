/**
 * Debian's chromium, headless, with one page at a time that a test looks into: by the DevTools protocol, over a WebSocket. Everything that the
 * page says wrong (exceptions, breaches of its content policy, console errors) is kept. Ended with the tests, by its process.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { WebSocket } from 'ws'
import { patienceMs, patiently } from './patience.ts'
import { findProgram, isMissing } from './program.ts'
import { TemporaryFolder } from './temporary-folder.ts'

interface Answer {
  readonly id?: number
  /** Of which page. */
  readonly sessionId?: string
  readonly method?: string
  readonly params?: unknown
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly message: string }
}

const lookAgainMs = 20
/** What is kept of what chromium says before it listens. */
const complaintCharactersMax = 2_000

export class Browser implements AsyncDisposable {
  readonly #profile: TemporaryFolder
  readonly #child: ChildProcess
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  readonly #exit: Promise<unknown>
  #complaints: string[] = []
  #target = ''
  #session = ''
  #lastId = 0

  /** Or why there is none here: a chromium that is installed may lack what it needs of the machine, which is no fault of a page. */
  static async tryToStart(): Promise<Browser | string> {
    const missing = isMissing('chromium')
    if (missing !== false) return missing
    const profile = new TemporaryFolder()
    // Root has no sandbox, and containers little shared memory; the home of whoever runs this stays as it is.
    // oxfmt-ignore
    const child = spawn(findProgram('chromium') ?? 'chromium', [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-breakpad', '--hide-scrollbars', '--remote-debugging-port=0',
      `--user-data-dir=${profile.path}`, 'about:blank',
    ], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: profile.path } })
    try {
      const socket = new WebSocket(await patiently(readUrl(child), () => 'chromium to listen'))
      await patiently(once(socket, 'open'), () => 'chromium to answer')
      return new Browser(profile, child, socket)
    } catch (error) {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
        const exit = once(child, 'exit')
        child.kill('SIGKILL')
        await exit
      }
      profile[Symbol.dispose]()
      return `chromium does not start here: ${(error as Error).message}`
    }
  }

  private constructor(profile: TemporaryFolder, child: ChildProcess, socket: WebSocket) {
    this.#profile = profile
    this.#child = child
    this.#socket = socket
    this.#exit = once(child, 'exit')
    socket.on('message', (data: Buffer) => this.#onMessage(JSON.parse(data.toString()) as Answer))
  }

  /** What the page that is shown has said wrong so far. */
  get complaints(): readonly string[] {
    return this.#complaints
  }

  /** On a page of its own, in the place of the one before. */
  async show(url: string, { width = 1_280, height = 900, dark = false } = {}): Promise<void> {
    await this.#openPage()
    await this.#ask('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false })
    await this.#ask('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }] })
    await this.#ask('Page.navigate', { url })
  }

  /** What an expression is worth in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const { result } = await this.#ask('Runtime.evaluate', { expression, returnByValue: true, awaitPromise: true })
    return (result as { value?: unknown }).value
  }

  /** Waits until an expression is true in the page. */
  async until(expression: string): Promise<void> {
    const look = `(() => { try { return Boolean(${expression}) } catch { return false } })()`
    const deadline = performance.now() + patienceMs
    while ((await this.evaluate(look)) !== true) {
      if (performance.now() > deadline)
        throw new Error(`waited in vain for ${expression} in the page; it says ${this.#complaints.join(' | ')}`)
      await delay(lookAgainMs)
    }
  }

  async screenshot(format: 'png' | 'webp' = 'webp'): Promise<Buffer> {
    const { data } = await this.#ask('Page.captureScreenshot', { format, quality: 80, captureBeyondViewport: false })
    return Buffer.from(String(data), 'base64')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Its other processes end with it only when it ends by itself.
    this.#session = ''
    const isAsked = await this.#ask('Browser.close', {}).then(
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
    const before = this.#target
    this.#session = ''
    this.#complaints = []
    const { targetId } = await this.#ask('Target.createTarget', { url: 'about:blank' })
    if (before !== '') await this.#ask('Target.closeTarget', { targetId: before })
    const { sessionId } = await this.#ask('Target.attachToTarget', { targetId, flatten: true })
    this.#target = String(targetId)
    this.#session = String(sessionId)
    for (const domain of ['Page', 'Runtime', 'Log']) await this.#ask(`${domain}.enable`, {})
  }

  async #ask(method: string, params: object): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#lastId
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve))
    this.#socket.send(JSON.stringify({ id, method, params, ...(this.#session !== '' && { sessionId: this.#session }) }))
    const { result, error } = await patiently(
      answered,
      () => `an answer of chromium to ${method}; the page says ${this.complaints.join(' | ')}`,
    )
    if (error !== undefined) throw new Error(`${method}: ${error.message}`)
    return result ?? {}
  }

  #onMessage(answer: Answer): void {
    if (answer.id !== undefined) {
      this.#waiting.get(answer.id)?.(answer)
      this.#waiting.delete(answer.id)
      return
    }
    if (answer.sessionId !== this.#session) return
    if (answer.method === 'Runtime.exceptionThrown' || answer.method === 'Log.entryAdded')
      this.#complaints.push(JSON.stringify(answer.params))
  }
}

/** Where its DevTools listen. */
async function readUrl(child: ChildProcess): Promise<string> {
  // Of a program that cannot be run there is only this.
  const failed = new Promise<never>((_, reject) => child.once('error', reject))
  const read = async (): Promise<string> => {
    let said = ''
    for await (const line of createInterface({ input: child.stderr! })) {
      const url = /^DevTools listening on (ws:\S+)/.exec(line)?.[1]
      if (url !== undefined) return url
      said = `${said}${line}\n`.slice(-complaintCharactersMax)
    }
    throw new Error(`it ended and said: ${said}`)
  }
  const url = await Promise.race([read(), failed])
  child.stderr!.resume()
  return url
}
