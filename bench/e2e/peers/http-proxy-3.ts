/**
 * A proxy with http-proxy-3 for the bench: all paths to one upstream over kept connections of node's agent.
 * Called by the bench as `http-proxy-3.js PORT UPSTREAM_PORT`.
 */
import { Agent, createServer } from 'node:http'
import { createProxyServer } from 'http-proxy-3'

const [port, upstreamPort] = process.argv.slice(2).map(Number) as [port: number, upstreamPort: number]

const proxy = createProxyServer({
  target: `http://127.0.0.1:${upstreamPort}`,
  agent: new Agent({ keepAlive: true, maxSockets: 256, maxFreeSockets: 256 }),
})
proxy.on('error', (_error, _request, response) => response.destroy())
const server = createServer((request, response) => proxy.web(request, response))
// The default of 5 s would close the connections whose memory is measured.
server.keepAliveTimeout = 75_000
server.listen({ port, host: '127.0.0.1', backlog: 4_096 })
process.once('disconnect', () => process.exit(0))
