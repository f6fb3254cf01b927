/** What an operator does over the admin listener, and single requests to the proxy. */
import { once } from 'node:events'
import http from 'node:http'
import { portOf } from './stage.ts'

export interface Reply {
  readonly status: number
  readonly text: string
}

export async function ask(address: string, method: string, path: string, headers: http.OutgoingHttpHeaders = {}): Promise<Reply> {
  const request = http.request({ host: '127.0.0.1', port: portOf(address), method, path, headers, agent: false })
  request.end()
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return { status: response.statusCode ?? 0, text }
}

export class AdminClient {
  readonly #address: string
  readonly #token: string

  constructor(address: string, token: string) {
    this.#address = address
    this.#token = token
  }

  async setServer(group: string, server: string, state: 'enable' | 'drain' | 'disable'): Promise<void> {
    const path = `/servers/${encodeURIComponent(group)}/${encodeURIComponent(server)}/${state}`
    const { status, text } = await ask(this.#address, 'POST', path, { authorization: `Bearer ${this.#token}` })
    if (status >= 300) throw new Error(`POST ${path} was answered with ${status}: ${text.slice(0, 200)}`)
  }

  async metrics(): Promise<string> {
    const { status, text } = await ask(this.#address, 'GET', '/metrics')
    if (status !== 200) throw new Error(`GET /metrics was answered with ${status}: ${text.slice(0, 200)}`)
    return text
  }
}
