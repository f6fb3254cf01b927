/**
 * A server of the example: a child process that says its name and what it was asked. It takes upgrades, too, and sends back what comes
 * through them. It ends when the channel to whoever started it does. It is told its name and its port.
 */
import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

const [name = '', port = ''] = process.argv.slice(2)
assert(process.send !== undefined, 'a server of the example is started with a message channel')
process.once('disconnect', () => process.exit(0))
// An interrupt from the terminal reaches the whole group; who started it ends it, in order.
process.on('SIGINT', () => {})

/** Answers that take a moment are what is under way when a server dies. */
const slowMs = 25
const largeBody = Buffer.alloc(65_536, 'x')

const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  if (request.url === '/healthz') return answer(response, 'text/plain', Buffer.from('ok\n'))
  let bodyBytes = 0
  request.on('data', (chunk: Buffer) => (bodyBytes += chunk.length))
  request.on('end', () => {
    const respond = (): void => {
      if (request.url?.startsWith('/api/large') === true) answer(response, 'application/octet-stream', largeBody, request)
      else answer(response, 'application/json', describe(request, bodyBytes), request)
    }
    if (request.url?.startsWith('/api/slow') === true) setTimeout(respond, slowMs)
    else respond()
  })
})
server.on('upgrade', (_request, socket) => {
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Server: ${name}\r\n\r\n`)
  socket.on('error', () => socket.destroy())
  socket.pipe(socket)
})
server.listen(Number(port), '127.0.0.1', () => process.send?.({ kind: 'listening' }))

function describe({ method, url, headers }: IncomingMessage, bodyBytes: number): Buffer {
  return Buffer.from(`${JSON.stringify({ server: name, site: headers['x-site'] ?? '', method, url, bodyBytes })}\n`)
}

/** X-Check says whose answer this is. */
function answer(response: ServerResponse, type: string, body: Buffer, request?: IncomingMessage): void {
  const check = request?.headers['x-check']
  response.writeHead(200, {
    'content-type': type,
    'content-length': body.length,
    'x-server': name,
    ...(typeof check === 'string' && { 'x-check': check }),
  })
  response.end(body)
}
