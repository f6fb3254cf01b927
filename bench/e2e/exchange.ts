/**
 * One request and its answer over a fresh connection, byte by byte as the workload has it: the check that a proxy does its work at all
 * before its speed is measured. Understands only answers with Content-Length, which is all that the origin sends.
 */
import { connect } from 'node:net'

export interface RawAnswer {
  readonly status: number
  readonly body: Buffer
}

/** Rejects when there is no complete answer within `timeoutMs`. */
export function exchangeOnce(port: number, request: Buffer, timeoutMs: number): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    const chunks: Buffer[] = []
    const timer = setTimeout(() => fail(new Error(`no complete answer within ${timeoutMs} ms`)), timeoutMs)
    const fail = (error: Error): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      const answer = readAnswer(Buffer.concat(chunks))
      if (answer === null) return
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    })
    socket.on('error', fail)
    socket.on('close', () => fail(new Error(`the connection ended inside the answer, after ${socket.bytesRead} bytes`)))
    socket.write(request)
  })
}

function readAnswer(received: Buffer): RawAnswer | null {
  const end = received.indexOf('\r\n\r\n')
  if (end === -1) return null
  const head = received.toString('latin1', 0, end)
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1])
  const length = /\r\ncontent-length:[ \t]*(\d+)[ \t]*(?:\r\n|$)/i.exec(head)?.[1]
  // Without a length (an error page, perhaps) what has arrived has to do; the check fails on it anyway.
  if (length === undefined) return { status, body: received.subarray(end + 4) }
  const bodyEnd = end + 4 + Number(length)
  return received.length < bodyEnd ? null : { status, body: received.subarray(end + 4, bodyEnd) }
}
