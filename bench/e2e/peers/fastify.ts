/**
 * A proxy with fastify and @fastify/http-proxy for the bench, as their documentation builds it: all paths to one upstream,
 * Host preserved as the other proxies of the bench do, 256 upstream connections as eproxy, its own logger only where a path is given.
 * Called by the bench as `fastify.js PORT UPSTREAM_PORT [LOG_PATH]`.
 */
import fastify from 'fastify'
import httpProxy from '@fastify/http-proxy'

const [port, upstreamPort] = process.argv.slice(2).map(Number) as [port: number, upstreamPort: number]
const logPath = process.argv[4]

const app = fastify({ keepAliveTimeout: 75_000, logger: logPath === undefined ? false : { file: logPath } })
await app.register(httpProxy, {
  upstream: `http://127.0.0.1:${upstreamPort}`,
  undici: { connections: 256, pipelining: 1 },
  replyOptions: {
    rewriteRequestHeaders: (request, headers) => {
      headers.host = request.headers.host ?? ''
      return headers
    },
  },
})
await app.listen({ port, host: '127.0.0.1', backlog: 4_096 })
process.once('disconnect', () => process.exit(0))
