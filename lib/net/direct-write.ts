/**
 * Writes that skip the stream machinery. Nearly every write is small and taken by the kernel at once; for those, node's Writable costs more
 * than preparing the system call (measured: 1.4 µs a request of 17). What is left over is queued by libuv behind the handle, in order
 * with whatever the stream writes, and its completion is reported here.
 *
 * This uses what node's own streams use: the binding `stream_wrap`, in one of two protocols. Up to version 24 a handle is given a request
 * object, which may be used again only when the write was complete at once; from version 26 on a handle makes the request itself when
 * a rest is left over. Where the binding or a handle is not what is expected, nothing here is used, and the stream writes.
 */
import { getSystemErrorName } from 'node:util'

type WriteCall<Data> = (request: WriteRequest | null, data: Data) => number | WriteRequest

/** What node's stream handles have and their types do not tell. */
export interface StreamHandle {
  useUserBuffer?(buffer: Uint8Array): void
  readStart?(): number
  /** TCP only. */
  reset?(callback: () => void): number
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
  /** Where the handle makes the request: how the write ended, when it ended before the request was returned. */
  writeStatus?: number | null
}

interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest
  readonly streamBaseState: Int32Array
  readonly kLastWriteWasAsync: number
  /** From version 26 on. */
  readonly kLastWriteErr?: number
}

const binding = loadBinding()
const handleMakesRequest = typeof binding?.kLastWriteErr === 'number'
/** A request that was not needed because its write was complete at once; it serves the next one. */
let spare: WriteRequest | undefined

function loadBinding(): StreamBinding | undefined {
  try {
    const found = (process as unknown as { binding(name: string): Partial<StreamBinding> }).binding('stream_wrap')
    const isExpected =
      typeof found.WriteWrap === 'function' && typeof found.kLastWriteWasAsync === 'number' && found.streamBaseState !== undefined
    return isExpected ? (found as StreamBinding) : undefined
  } catch {
    return undefined
  }
}

export function canWriteDirectly(handle: StreamHandle): boolean {
  return binding !== undefined && typeof handle.writeLatin1String === 'function' && typeof handle.writeBuffer === 'function'
}

/**
 * Writes. Only on a handle of which `canWriteDirectly` holds. Returns undefined when the kernel has taken all, 'queued' when a rest waits
 * (the writer is told when it is gone), or the error.
 */
export function writeDirectly(handle: StreamHandle, data: string | Buffer, writer: DirectWriter): Error | 'queued' | undefined {
  const { WriteWrap, streamBaseState, kLastWriteWasAsync, kLastWriteErr } = binding!
  const given = handleMakesRequest ? null : (spare ?? prepare(new WriteWrap()))
  spare = undefined
  if (given !== null) given.handle = handle
  const answer = typeof data === 'string' ? handle.writeLatin1String!(given, data) : handle.writeBuffer!(given, data)
  let request = given
  if (typeof answer !== 'number') {
    const status = streamBaseState[kLastWriteErr!]!
    if (status !== 0) return systemError(status)
    request = prepare(answer)
    request.handle = handle
    if (typeof answer.writeStatus === 'number') return answer.writeStatus < 0 ? systemError(answer.writeStatus) : undefined
  } else if (answer !== 0) return systemError(answer)
  else if (request === null) return undefined
  else if (streamBaseState[kLastWriteWasAsync] === 0) {
    spare = request
    return undefined
  }
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
