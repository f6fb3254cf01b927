/**
 * A proxy with fast-proxy for the bench: all paths to one upstream, through undici, Host preserved.
 * Called by the bench as `fast-proxy.js PORT UPSTREAM_PORT`.
 */
import { createServer } from 'node:http'
import fastProxy from 'fast-proxy'

const [port, upstreamPort] = process.argv.slice(2).map(Number) as [port: number, upstreamPort: number]

const forwarder = fastProxy({ base: `http://127.0.0.1:${upstreamPort}`, undici: { connections: 256, pipelining: 1 } })
const options: Parameters<typeof forwarder.proxy>[3] = {
  rewriteRequestHeaders: (request, headers) => ({ ...headers, host: request.headers.host ?? '' }),
}
const server = createServer((request, response) => forwarder.proxy(request, response, request.url ?? '/', options))
// The default of 5 s would close the connections whose memory is measured.
server.keepAliveTimeout = 75_000
server.listen({ port, host: '127.0.0.1', backlog: 4_096 })
process.once('disconnect', () => process.exit(0))
