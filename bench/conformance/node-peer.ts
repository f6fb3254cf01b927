/**
 * A proxy library of Node as its documentation uses it, for one upstream: connections kept, Host preserved, WebSockets on, X-Forwarded-For
 * where it is an option. An error that the library reports is answered with 502; one that nobody catches is its crash, and the process
 * ends. Called as `node-peer.js NAME PORT ORIGIN_PORT`.
 */
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'

const [name, port, originPort] = process.argv.slice(2) as [string, string, string]
const target = `http://127.0.0.1:${originPort}`
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 })

await start()

async function start(): Promise<unknown> {
  switch (name) {
    case '@fastify/http-proxy':
      return startFastify()
    case 'http-proxy': {
      const { default: library } = await import('http-proxy')
      const proxy = library.createProxyServer({ target, xfwd: true, agent, ws: true })
      proxy.on('error', (_error, _request, response) => refuse(response))
      return listen(
        (request, response) => proxy.web(request, response),
        (request, socket, head) => proxy.ws(request, socket, head),
      )
    }
    case 'http-proxy-3': {
      const { createProxyServer } = await import('http-proxy-3')
      const proxy = createProxyServer({ target, xfwd: true, agent, ws: true })
      proxy.on('error', (_error, _request, response) => refuse(response))
      return listen(
        (request, response) => proxy.web(request, response),
        (request, socket, head) => proxy.ws(request, socket, head),
      )
    }
    case 'httpxy': {
      const { createProxyServer } = await import('httpxy')
      const proxy = createProxyServer({ target, xfwd: true, agent, ws: true })
      proxy.on('error', (_error, _request, response) => refuse(response as ServerResponse | Duplex | undefined))
      return listen(
        (request, response) => void proxy.web(request, response).catch(() => refuse(response)),
        (request, socket, head) => void proxy.ws(request, socket as never, {}, head).catch(() => socket.destroy()),
      )
    }
    default:
      throw new Error(`unknown peer ${name}`)
  }
}

function listen(onRequest: RequestListener, onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void): void {
  http.createServer(onRequest).on('upgrade', onUpgrade).listen(Number(port), '127.0.0.1')
}

async function startFastify(): Promise<unknown> {
  const { default: fastify } = await import('fastify')
  const { default: httpProxy } = await import('@fastify/http-proxy')
  const app = fastify({ logger: false })
  await app.register(httpProxy, {
    upstream: target,
    websocket: true,
    replyOptions: { rewriteRequestHeaders: (request, headers) => ({ ...headers, host: request.headers.host ?? '' }) },
  })
  return app.listen({ port: Number(port), host: '127.0.0.1' })
}

function refuse(response: ServerResponse | Duplex | undefined): void {
  if (response === undefined) return
  if (!('writeHead' in response) || response.headersSent) return void response.destroy()
  response.writeHead(502, { 'content-length': 0 }).end()
}
