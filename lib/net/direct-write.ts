/**
 * Writes that skip the stream machinery. Nearly every write is small and taken by the kernel at once; for those, node's Writable costs more
 * than the system call's own preparation (measured: 1.4 µs a request of 17). What is left over is queued by libuv behind the handle, in
 * order with whatever the stream writes, and its completion is reported here.
 *
 * Node has two ways to ask a handle for a write. Up to version 24 its streams give the handle a request object, of a class that is handed
 * out to nobody else; from version 26 on they give null, and get a request back when a rest is left over. Which one it is, and the class,
 * is learned from the first write that a stream makes. Until then, and wherever a handle is not what is expected, the stream is used.
 */
import { getSystemErrorName } from 'node:util'

type WriteCall<Data> = (request: WriteRequest | null, data: Data) => number | WriteRequest

/** What node's stream handles have and their types do not tell. */
export interface StreamHandle {
  useUserBuffer?(buffer: Uint8Array): void
  /** Bytes that libuv has queued. */
  readonly writeQueueSize?: number
  writeLatin1String?: WriteCall<string>
  writeBuffer?: WriteCall<Uint8Array>
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
  /** Where the handle gives the request: how the write ended, when it ended before it was given. */
  writeStatus?: number | null
}

/** Makes the request that goes into a call; null where the handle makes its own. Undefined: not learned yet. */
let makeRequest: (() => WriteRequest) | null | undefined
/** Learns the request class from the next write that the stream makes on this handle. */
export function learnFrom(handle: StreamHandle): void {
  if (makeRequest !== undefined || !canWriteDirectly(handle)) return
  const learn = (request: WriteRequest | null): void => {
    delete handle.writeLatin1String
    delete handle.writeBuffer
    if (request === null) makeRequest = null
    else {
      const RequestClass = request.constructor as new () => WriteRequest
      makeRequest = () => prepare(new RequestClass())
    }
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
  return makeRequest !== undefined
}

/**
 * Writes. Returns undefined when the kernel has taken all, 'queued' when a rest waits (the writer is told when it is gone), or the
 * error.
 */
export function writeDirectly(handle: StreamHandle, data: string | Buffer, writer: DirectWriter): Error | 'queued' | undefined {
  // One for each write, as node does: a request whose write was split stays attached even when libuv has sent the rest at once, and node
  // aborts the process when it is given again.
  const given = makeRequest === null ? null : makeRequest!()
  if (given !== null) given.handle = handle
  const answer = typeof data === 'string' ? handle.writeLatin1String!(given, data) : handle.writeBuffer!(given, data)
  if (typeof answer === 'number') {
    if (answer !== 0) return systemError(answer)
    // Sent, or a rest is with libuv: the handle does not say which, its queue does.
    if (given === null || handle.writeQueueSize === 0) return undefined
  }
  const request = given ?? prepare(answer as WriteRequest)
  request.handle = handle
  if (typeof request.writeStatus === 'number') return request.writeStatus < 0 ? systemError(request.writeStatus) : undefined
  request.writer = writer
  request.buffer = data
  return 'queued'
}

function prepare(request: WriteRequest): WriteRequest {
  request.oncomplete = onComplete
  request.async = true
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
