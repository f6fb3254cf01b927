/**
 * One large message through a proxy, with both its ends in this process: a POST that the origin reads slowly, or a GET whose answer the
 * client reads slowly. Checks that every byte arrived in order. Owns the origin's listener and the sockets of both ends and closes
 * them; the proxy between them is somebody else's. The origin closes its connection after each transfer, so the next one never meets a half-read
 * message of the last.
 */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { PayloadSender, StallingReceiver, type Stalls } from './payload.ts'

export type Direction = 'upload' | 'download'

export interface Transferred {
  readonly bytes: number
  readonly milliseconds: number
  /** SHA-256 of what arrived; equal to that of what was sent, or the transfer would have failed. */
  readonly checksum: string
  /** The most that sender and receiver were apart: socket buffers of the kernel, and what the proxy held. */
  readonly inFlightBytesMax: number
}

export interface TransferPlan {
  readonly direction: Direction
  readonly proxyPort: number
  readonly bytes: number
  readonly stalls: Stalls
  readonly deadlineMs: number
}

/** The two ends of a running transfer, for the sampler. */
interface Ends {
  sender: PayloadSender | null
  receiver: StallingReceiver | null
}

const headBytesMax = 65_536
const sampleMs = 10
const checksumChars = 64

export class TransferOrigin implements AsyncDisposable {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #onTalking: ((socket: Socket) => void) | null = null

  private constructor(server: Server) {
    this.#server = server
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      // A failure inside a transfer rejects there; outside of one it means nothing.
      socket.on('error', () => {})
      // A connection on which nothing comes is none of ours: a proxy may open one in advance or to see whether the origin lives.
      socket.once('data', (chunk) => {
        socket.pause()
        socket.unshift(chunk)
        this.#onTalking?.(socket)
      })
    })
  }

  static async listen(): Promise<TransferOrigin> {
    const server = createServer({ noDelay: true })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new TransferOrigin(server)
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** One at a time. Rejects when the transfer fails, changes a byte or takes too long. */
  async transfer(plan: TransferPlan): Promise<Transferred> {
    const ends: Ends = { sender: null, receiver: null }
    let inFlightBytesMax = 0
    const sampler = setInterval(() => {
      inFlightBytesMax = Math.max(inFlightBytesMax, (ends.sender?.sentBytes ?? 0) - (ends.receiver?.receivedBytes ?? 0))
    }, sampleMs)
    const startedAt = performance.now()
    const client = connect({ port: plan.proxyPort, host: '127.0.0.1', noDelay: true })
    client.on('error', () => {})
    const late = new AbortController()
    const deadline = setTimeout(
      () => late.abort(new Error(`not finished after ${plan.deadlineMs} ms: ${describeProgress(ends)}`)),
      plan.deadlineMs,
    )
    try {
      const accepted = new Promise<Socket>((resolve) => (this.#onTalking = resolve))
      const work = plan.direction === 'upload' ? upload(client, accepted, plan, ends) : download(client, accepted, plan, ends)
      const tooLate = new Promise<never>((_, reject) =>
        late.signal.addEventListener('abort', () => reject(late.signal.reason as Error), { once: true }),
      )
      const { sent, received } = await Promise.race([work, tooLate])
      if (sent !== received) throw new Error(`the bytes changed on their way: checksum ${sent} became ${received}`)
      return { bytes: plan.bytes, milliseconds: performance.now() - startedAt, checksum: received, inFlightBytesMax }
    } finally {
      clearInterval(sampler)
      clearTimeout(deadline)
      this.#onTalking = null
      client.destroy()
      for (const socket of this.#sockets) socket.destroy()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }
}

interface Checksums {
  readonly sent: string
  readonly received: string
}

/** The origin answers with the checksum of what it received, so the answer takes the way through the proxy, too. */
async function upload(client: Socket, accepted: Promise<Socket>, { bytes, stalls }: TransferPlan, ends: Ends): Promise<Checksums> {
  client.write(`POST /upload HTTP/1.1\r\nHost: bench.example\r\nContent-Type: application/octet-stream\r\nContent-Length: ${bytes}\r\n\r\n`)
  const sender = new PayloadSender(client, bytes)
  ends.sender = sender
  const serve = async (): Promise<void> => {
    const socket = await accepted
    await receiveHead(socket, 'POST /upload HTTP/1.1', bytes)
    const receiver = new StallingReceiver(socket, stalls)
    ends.receiver = receiver
    const checksum = await receiveBody(socket, receiver, bytes)
    socket.end(`HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${checksumChars}\r\nConnection: close\r\n\r\n${checksum}`)
  }
  const receiveAnswer = async (): Promise<string> => {
    await receiveHead(client, 'HTTP/1.1 200', checksumChars)
    const chunks: Buffer[] = []
    const answer = new StallingReceiver(client, { everyBytes: Number.POSITIVE_INFINITY, stallMs: 0 })
    await receiveBody(client, answer, checksumChars, (chunk) => chunks.push(chunk))
    return Buffer.concat(chunks).toString('latin1')
  }
  const [sent, received] = await Promise.all([sender.run(), receiveAnswer(), serve()])
  return { sent, received }
}

async function download(client: Socket, accepted: Promise<Socket>, { bytes, stalls }: TransferPlan, ends: Ends): Promise<Checksums> {
  client.write('GET /download HTTP/1.1\r\nHost: bench.example\r\n\r\n')
  const serve = async (): Promise<string> => {
    const socket = await accepted
    await receiveHead(socket, 'GET /download HTTP/1.1', null)
    socket.write(`HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ${bytes}\r\nConnection: close\r\n\r\n`)
    const sender = new PayloadSender(socket, bytes)
    ends.sender = sender
    const checksum = await sender.run()
    socket.end()
    return checksum
  }
  const receiveAnswer = async (): Promise<string> => {
    await receiveHead(client, 'HTTP/1.1 200', bytes)
    const receiver = new StallingReceiver(client, stalls)
    ends.receiver = receiver
    return receiveBody(client, receiver, bytes)
  }
  const [sent, received] = await Promise.all([serve(), receiveAnswer()])
  return { sent, received }
}

/** Reads to the end of the head, checks it, and leaves what follows in the paused socket. `bodyBytes` null: a message without a body. */
function receiveHead(socket: Socket, expectedStart: string, bodyBytes: number | null): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0)
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk])
      const end = received.indexOf('\r\n\r\n')
      if (end === -1 && received.length <= headBytesMax) return
      socket.off('data', onData).off('close', onClose).pause()
      const head = received.toString('latin1', 0, end === -1 ? headBytesMax : end)
      const length = /\r\ncontent-length:[ \t]*(\d+)[ \t]*(?:\r\n|$)/i.exec(head)?.[1]
      if (end === -1 || !head.startsWith(expectedStart) || (bodyBytes !== null && length !== String(bodyBytes))) {
        reject(new Error(`expected ${expectedStart} with ${bodyBytes ?? 'no'} bytes, received ${JSON.stringify(head.slice(0, 400))}`))
        return
      }
      if (received.length > end + 4) socket.unshift(received.subarray(end + 4))
      resolve()
    }
    const onClose = (): void => reject(new Error(`closed after ${received.length} bytes of a head, where ${expectedStart} was expected`))
    socket.on('data', onData).once('close', onClose)
    socket.resume()
  })
}

function receiveBody(socket: Socket, receiver: StallingReceiver, bytes: number, onChunk?: (chunk: Buffer) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    const onData = (chunk: Buffer): void => {
      receiver.take(chunk)
      onChunk?.(chunk)
      if (receiver.receivedBytes < bytes) return
      socket.off('data', onData).off('close', onClose)
      if (receiver.receivedBytes > bytes) reject(new Error(`${receiver.receivedBytes - bytes} bytes more than the ${bytes} of the body`))
      else resolve(receiver.finish())
    }
    const onClose = (): void => reject(new Error(`closed after ${receiver.receivedBytes} of ${bytes} body bytes`))
    socket.on('data', onData).once('close', onClose)
    socket.resume()
  })
}

function describeProgress({ sender, receiver }: Ends): string {
  return `${sender?.sentBytes ?? 0} bytes sent, ${receiver?.receivedBytes ?? 0} received`
}
