/** node:http as a client, one call for one exchange. */
import { once } from 'node:events'
import http from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

export interface Exchanged {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly trailers: NodeJS.Dict<string>
  readonly body: Buffer
}

/** The response as soon as its head is there; the body is the caller's to read. `body` is sent with what framing the options say. */
export async function open(url: string, options: http.RequestOptions = {}, body: Iterable<Buffer> = []): Promise<http.IncomingMessage> {
  const request = http.request(url, options)
  const answered = once(request, 'response') as Promise<[http.IncomingMessage]>
  // A response may come before the request is sent; then the rest of the request need not arrive.
  const sent = pipeline(Readable.from(body, { objectMode: true }), request)
  const [response] = await Promise.race([answered, sent.then(() => answered)])
  sent.catch(() => undefined)
  return response
}

/** The whole exchange. Rejects when the response is cut. */
export async function exchange(url: string, options: http.RequestOptions = {}, body: Iterable<Buffer> = []): Promise<Exchanged> {
  const response = await open(url, options, body)
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return { status: response.statusCode ?? 0, headers: response.headers, trailers: response.trailers, body: Buffer.concat(chunks) }
}
