/**
 * `eproxy-raw top`: asks a proxy's admin listener each second and shows the answer. On a terminal it has a screen of its own, which is given
 * back however it ends; elsewhere it prints one look and ends. It owns the terminal's mode while it runs.
 */
import http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { paintFor } from '../conformance/paint.ts'
import type { Address } from '../core/options.ts'
import { formatDuration } from '../core/units.ts'
import type { TopSettings } from './top-flags.ts'
import { renderTop, type TopDocument } from './top-screen.ts'

const intervalMs = 1_000
const answerMsMax = 3_000
const documentBytesMax = 16_777_216
const plainColumns = 160

/** Resolves with the exit code. Throws an Error in words for people. */
export async function runTop(settings: TopSettings): Promise<number> {
  if (settings.isOnce || !process.stdout.isTTY) {
    const document = await ask(settings)
    const paint = paintFor(process.stdout)
    const lines = renderTop(document, { columns: process.stdout.columns ?? plainColumns, rows: Number.POSITIVE_INFINITY, worker: 0, paint })
    process.stdout.on('error', () => {})
    await new Promise<void>((resolve) => process.stdout.write(`${lines.map((line) => line.trimEnd()).join('\n')}\n`, () => resolve()))
    return 0
  }
  return new TopTerminal(settings).run()
}

// What terminals since the VT100 know, but for the last two, which others pass over: nothing is shown before a frame is whole.
const enterScreen = '\u001b[?1049h\u001b[?25l'
const leaveScreen = '\u001b[?25h\u001b[?1049l'
const home = '\u001b[H'
const clearLine = '\u001b[K'
const clearBelow = '\u001b[J'
const beginFrame = '\u001b[?2026h'
const endFrame = '\u001b[?2026l'
const interruptKey = '\u0003'

class TopTerminal {
  readonly #settings: TopSettings
  readonly #paint = paintFor(process.stdout)
  readonly #ended = new AbortController()
  #worker = 0
  #document: TopDocument | undefined
  #problem = ''

  constructor(settings: TopSettings) {
    this.#settings = settings
  }

  async run(): Promise<number> {
    const { stdin, stdout } = process
    // The first look is taken before the screen is: who mistyped the address reads why, and keeps what was on it.
    this.#document = await ask(this.#settings)
    const end = (): void => this.#ended.abort()
    const show = (): void => this.#show()
    const onKeys = (keys: Buffer): void => this.#onKeys(keys.toString('latin1'))
    stdout.write(enterScreen)
    process.on('SIGTERM', end).on('SIGINT', end).on('SIGHUP', end)
    stdout.on('resize', show)
    if (stdin.isTTY) stdin.setRawMode(true)
    stdin.on('data', onKeys).on('end', end)
    try {
      while (!this.#ended.signal.aborted) {
        this.#show()
        await delay(intervalMs, undefined, { signal: this.#ended.signal }).catch(() => {})
        await this.#refresh()
      }
      return 0
    } finally {
      stdout.off('resize', show)
      stdin.off('data', onKeys)
      if (stdin.isTTY) stdin.setRawMode(false)
      stdin.pause()
      stdout.write(leaveScreen)
    }
  }

  async #refresh(): Promise<void> {
    if (this.#ended.signal.aborted) return
    try {
      this.#document = await ask(this.#settings)
      this.#problem = ''
    } catch (error) {
      this.#problem = (error as Error).message
    }
  }

  #onKeys(keys: string): void {
    if (keys.includes('q') || keys.includes(interruptKey)) return this.#ended.abort()
    if (!keys.includes('w')) return
    const numbers = [0, ...(this.#document?.workers ?? []).map(({ number }) => number)]
    this.#worker = numbers[(numbers.indexOf(this.#worker) + 1) % numbers.length] ?? 0
    this.#show()
  }

  #show(): void {
    const { columns, rows } = process.stdout
    if (this.#document === undefined) return
    const lines = renderTop(this.#document, { columns, rows: rows - 2, worker: this.#worker, paint: this.#paint })
    const foot =
      this.#problem === ''
        ? this.#paint('dim', 'q ends, w shows the next worker'.slice(0, columns))
        : this.#paint('red', `${this.#problem}; asking again`.slice(0, columns))
    const text = [...lines, '', foot].slice(0, rows).join(`${clearLine}\r\n`)
    process.stdout.write(`${beginFrame}${home}${text}${clearLine}${clearBelow}${endFrame}`)
  }
}

async function ask({ address, place, token }: TopSettings): Promise<TopDocument> {
  let body = ''
  try {
    body = await fetchStatus(place, token)
  } catch (error) {
    throw new Error(`no answer from the admin listener at ${address}: ${explain(error)}`, { cause: error })
  }
  const document = readDocument(body)
  if (document === undefined) throw new Error(`what answers at ${address} is no admin listener of eproxy`)
  return document
}

function explain(error: unknown): string {
  const { code, name, message } = error as NodeJS.ErrnoException
  if (code === 'ECONNREFUSED' || code === 'ENOENT') return 'nothing listens there; was the proxy started with --admin?'
  return name === 'TimeoutError' ? `it took longer than ${formatDuration(answerMsMax)}` : message
}

function fetchStatus(place: Address, token: string): Promise<string> {
  const where = place.kind === 'unix' ? { socketPath: place.path } : { host: place.host, port: place.port }
  return new Promise((resolve, reject) => {
    const headers = token === '' ? {} : { authorization: `Bearer ${token}` }
    const request = http.get({ ...where, path: '/status', headers, agent: false, signal: AbortSignal.timeout(answerMsMax) }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        body += chunk
        if (body.length > documentBytesMax) request.destroy(new Error('the answer has no end'))
      })
      response.on('end', () =>
        response.statusCode === 200 ? resolve(body) : reject(new Error(explainStatus(response.statusCode ?? 0, body, token))),
      )
      response.on('error', reject)
    })
    request.on('error', reject)
  })
}

function explainStatus(status: number, body: string, token: string): string {
  if (status === 401) return token === '' ? 'it wants its token: --admin-token-file FILE' : 'it has another token'
  // What something else says may be no text for a terminal.
  return `status ${status}: ${body
    .slice(0, 200)
    .trim()
    .replace(/[^\x20-\x7e]/g, '?')}`
}

/** Undefined for what something else says that listens there. */
function readDocument(body: string): TopDocument | undefined {
  try {
    const document = JSON.parse(body) as Partial<TopDocument> | null
    const isStatus = document?.total?.stats !== undefined && document.history !== undefined && document.workers !== undefined
    return isStatus ? (document as TopDocument) : undefined
  } catch {
    return undefined
  }
}
