/**
 * The floor of the bench: bytes from a client socket to an upstream socket and back with `pipe`, one upstream connection for each
 * client connection, no HTTP at all. What a Node proxy costs above this is the price of understanding what it forwards.
 * Called by the bench as `net-pipe.js PORT UPSTREAM_PORT`.
 */
import { connect, createServer } from 'node:net'

const [port, upstreamPort] = process.argv.slice(2).map(Number) as [port: number, upstreamPort: number]

const server = createServer({ noDelay: true }, (client) => {
  const upstream = connect({ port: upstreamPort, host: '127.0.0.1', noDelay: true })
  client.pipe(upstream)
  upstream.pipe(client)
  // `pipe` forwards an end but no reset; without this the other side would stay open.
  client.on('error', () => upstream.destroy())
  upstream.on('error', () => client.destroy())
})
server.listen({ port, host: '127.0.0.1', backlog: 4_096 })
process.once('disconnect', () => process.exit(0))
