/**
 * Writes that skip the stream machinery. Nearly every write is small and taken by the kernel at once; for those, node's Writable costs more
 * than the system call's own preparation (measured: 1.4 µs a request of 17). What is left over is queued by libuv behind the handle, in
 * order with whatever the stream writes, and its completion is reported here.
 *
 * Node hands out the request class that its handles need only to its own streams: it is taken from the first write that a stream makes.
 * Until then, and wherever a handle is not what is expected, the stream is used.
 */
import { getSystemErrorName } from 'node:util'

/** What node's stream handles have and their types do not tell. */
export interface StreamHandle {
  useUserBuffer?(buffer: Uint8Array): void
  /** Bytes that libuv has queued. */
  readonly writeQueueSize?: number
  writeLatin1String?(request: WriteRequest, data: string): number
  writeBuffer?(request: WriteRequest, data: Uint8Array): number
}

/** Told when a write that was left over is with the kernel, or has failed. */
export interface DirectWriter {
  onDirectWriteComplete(error: Error | undefined): void
}

interface WriteRequest {
  handle: StreamHandle | null
  oncomplete: (this: WriteRequest, status: number) => void
  async: boolean
  bytes: number
  /** Keeps the data alive while libuv has it. */
  buffer: string | Uint8Array | null
  writer: DirectWriter | undefined
}

type WriteRequestClass = new () => WriteRequest

let requestClass: WriteRequestClass | undefined
/** A request that was not needed because its write was complete at once; it serves the next one. */
let spare: WriteRequest | undefined

/** Learns the request class from the next write that the stream makes on this handle. */
export function learnFrom(handle: StreamHandle): void {
  if (requestClass !== undefined || !canWriteDirectly(handle)) return
  const learn = (request: WriteRequest): void => {
    requestClass = request.constructor as WriteRequestClass
    delete handle.writeLatin1String
    delete handle.writeBuffer
  }
  handle.writeLatin1String = (request, data) => {
    learn(request)
    return handle.writeLatin1String!(request, data)
  }
  handle.writeBuffer = (request, data) => {
    learn(request)
    return handle.writeBuffer!(request, data)
  }
}

function canWriteDirectly(handle: StreamHandle): boolean {
  return typeof handle.writeLatin1String === 'function' && typeof handle.writeBuffer === 'function' && typeof handle.writeQueueSize === 'number'
}

export function isReady(): boolean {
  return requestClass !== undefined
}

/**
 * Writes. Returns undefined when the kernel has taken all, 'queued' when a rest waits (the writer is told when it is gone), or the
 * error.
 */
export function writeDirectly(handle: StreamHandle, data: string | Buffer, writer: DirectWriter): Error | 'queued' | undefined {
  const request = spare ?? makeRequest()
  spare = undefined
  request.handle = handle
  const status = typeof data === 'string' ? handle.writeLatin1String!(request, data) : handle.writeBuffer!(request, data)
  if (status !== 0) return systemError(status)
  if (handle.writeQueueSize === 0) {
    spare = request
    return undefined
  }
  request.writer = writer
  request.buffer = data
  return 'queued'
}

function makeRequest(): WriteRequest {
  const request = new requestClass!()
  request.oncomplete = onComplete
  request.async = false
  request.bytes = 0
  request.buffer = null
  request.writer = undefined
  return request
}

function onComplete(this: WriteRequest, status: number): void {
  const { writer } = this
  this.writer = undefined
  this.buffer = null
  this.handle = null
  writer?.onDirectWriteComplete(status < 0 ? systemError(status) : undefined)
}

function systemError(status: number): Error {
  const code = getSystemErrorName(status)
  return Object.assign(new Error(`write ${code}`), { code, errno: status, syscall: 'write' })
}
