/**
 * A proxy with fastify and @fastify/http-proxy for the bench, as their documentation builds it: no logger, all paths to one upstream,
 * Host preserved as the other proxies of the bench do, and the same bound of 64 upstream connections.
 * Called by the bench as `fastify.js PORT UPSTREAM_PORT`.
 */
import fastify from 'fastify'
import httpProxy from '@fastify/http-proxy'

const [port, upstreamPort] = process.argv.slice(2).map(Number) as [port: number, upstreamPort: number]

const app = fastify({ logger: false })
await app.register(httpProxy, {
  upstream: `http://127.0.0.1:${upstreamPort}`,
  undici: { connections: 64, pipelining: 1 },
  replyOptions: {
    rewriteRequestHeaders: (request, headers) => {
      headers.host = request.headers.host ?? ''
      return headers
    },
  },
})
await app.listen({ port: port, host: '127.0.0.1', backlog: 1_024 })
process.once('disconnect', () => process.exit(0))
