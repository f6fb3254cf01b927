/**
 * One request and its answer over a fresh connection, byte by byte as the workload has it: the check that a proxy does its work at all
 * before its speed is measured. The body is compared while it arrives, so it may be large. Understands only answers with
 * Content-Length, which is all that the origin sends.
 */
import { connect } from 'node:net'
import type { Workload } from './workloads.ts'

const headBytesMax = 65_536

/** Rejects when there is no complete and right answer within `timeoutMs`. */
export function checkExchange(port: number, { request, answer }: Workload, timeoutMs: number): Promise<void> {
  const total = answer.unit.length * answer.repeats
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' })
    let head: Buffer | null = Buffer.alloc(0)
    let bodyBytes = 0
    const timer = setTimeout(() => settle(new Error(`no complete answer within ${timeoutMs} ms`)), timeoutMs)
    const settle = (error: Error | null): void => {
      clearTimeout(timer)
      socket.destroy()
      if (error === null) resolve()
      else reject(error)
    }
    socket.on('data', (chunk: Buffer) => {
      let body = chunk
      if (head !== null) {
        head = Buffer.concat([head, chunk])
        const end = head.indexOf('\r\n\r\n')
        if (end === -1 && head.length < headBytesMax) return
        const fault = faultInHead(head.toString('latin1', 0, end), total)
        if (fault !== null) return settle(new Error(`${fault}: ${head.toString('latin1', end + 4, end + 204)}`))
        body = head.subarray(end + 4)
        head = null
      }
      for (let at = 0; at < body.length;) {
        const expected = answer.unit.subarray(bodyBytes % answer.unit.length)
        const piece = body.subarray(at, at + expected.length)
        if (bodyBytes + piece.length > total || !piece.equals(expected.subarray(0, piece.length)))
          return settle(new Error(`its answer has a wrong body, from byte ${bodyBytes} on`))
        at += piece.length
        bodyBytes += piece.length
      }
      if (bodyBytes === total) settle(null)
    })
    socket.on('error', settle)
    socket.on('close', () => settle(new Error(`the connection ended inside the answer, after ${socket.bytesRead} bytes`)))
    socket.write(request)
  })
}

function faultInHead(head: string, bodyBytes: number): string | null {
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1])
  if (status !== 200) return `it answers ${status}`
  const length = /\r\ncontent-length:[ \t]*(\d+)[ \t]*(?:\r\n|$)/i.exec(head)?.[1]
  return Number(length) === bodyBytes ? null : `its answer has a Content-Length of ${length ?? 'nothing'} instead of ${bodyBytes}`
}
