/** Asks an admin listener as curl does: one request on a connection of its own. Reads metrics and server-sent events no further than tests need. */
import { once } from 'node:events'
import http from 'node:http'
import { connectOptions } from './raw-client.ts'
import { patiently } from './patience.ts'

export interface AdminAnswer {
  readonly status: number
  readonly fields: http.IncomingHttpHeaders
  readonly body: string
}

export interface AskOptions {
  readonly method?: string
  readonly fields?: Readonly<Record<string, string>>
  readonly body?: string
}

export async function askAdmin(
  address: string,
  path: string,
  { method = 'GET', fields = {}, body = '' }: AskOptions = {},
): Promise<AdminAnswer> {
  const response = await open(address, path, method, fields, body)
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return { status: response.statusCode ?? 0, fields: response.headers, body: text }
}

async function open(
  address: string,
  path: string,
  method: string,
  fields: Readonly<Record<string, string>>,
  body: string,
): Promise<http.IncomingMessage> {
  const place = connectOptions(address)
  const where = 'path' in place ? { socketPath: place.path } : { host: place.host, port: place.port }
  const headers = { ...fields, ...(body === '' ? {} : { 'content-length': String(Buffer.byteLength(body)) }) }
  const request = http.request({ ...where, path, method, headers, agent: false })
  request.end(body)
  const [response] = (await patiently(once(request, 'response'), () => `an answer to ${method} ${path}`)) as [http.IncomingMessage]
  return response
}

/** Every sample by its name and labels as they stand in the text. */
export async function readMetrics(address: string): Promise<ReadonlyMap<string, number>> {
  const { body } = await askAdmin(address, '/metrics')
  const rows = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(rows.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]))
}

/** `GET /events` for as long as a test wants it. */
export class EventReader implements Disposable {
  readonly #response: http.IncomingMessage
  readonly events: { readonly name: string; readonly data: unknown }[] = []
  #text = ''
  #isOver = false

  static async open(address: string, fields: Readonly<Record<string, string>> = {}): Promise<EventReader> {
    return new EventReader(await open(address, '/events', 'GET', fields, ''))
  }

  private constructor(response: http.IncomingMessage) {
    this.#response = response
    response.setEncoding('utf8').on('data', (text: string) => this.#take(text))
    response.on('error', () => {})
    response.on('close', () => (this.#isOver = true))
  }

  get status(): number {
    return this.#response.statusCode ?? 0
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Takes no more from the connection. */
  pause(): void {
    this.#response.pause()
  }

  dataOf(name: string): readonly unknown[] {
    return this.events.filter((event) => event.name === name).map(({ data }) => data)
  }

  [Symbol.dispose](): void {
    this.#response.destroy()
  }

  #take(text: string): void {
    this.#text += text
    for (let end = this.#text.indexOf('\n\n'); end >= 0; end = this.#text.indexOf('\n\n')) {
      const match = /^event: (.*)\ndata: (.*)$/.exec(this.#text.slice(0, end))
      this.#text = this.#text.slice(end + 2)
      if (match !== null) this.events.push({ name: match[1] ?? '', data: JSON.parse(match[2] ?? '') as unknown })
    }
  }
}
