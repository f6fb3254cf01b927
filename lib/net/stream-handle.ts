/**
 * The libuv handles under node's sockets, as node's own streams use them. What a stream does for every read and write costs more than the
 * system call for the small pieces that a proxy moves, and its object is most of what an idle connection weighs; so connections are
 * driven by their handles (`handle-socket.ts`), and this file (with `listening-handle.ts`) is the only one that knows node's bindings.
 *
 * Writing has two protocols: up to version 24 a handle is given a request object, which may be used again only when the write was complete at
 * once; from version 26 on a handle makes the request itself when a rest is left over. Where anything is not what is expected,
 * `handlesAvailable` is false and sockets are driven as streams (`stream-socket.ts`).
 */
import type net from 'node:net'
import { getSystemErrorName } from 'node:util'
import { formatAddress, type Address } from '../core/options.ts'

type WriteCall<Data> = (request: WriteRequest | null, data: Data) => number | WriteRequest

/** A connection, as libuv has it. What node's types do not tell. */
export interface StreamHandle {
  /** Every read goes into `buffer`, until `onread` returns another one. */
  useUserBuffer(buffer: Uint8Array): void
  /** Called with the handle as `this` after each read; `lastRead()` says what came of it. */
  onread: ((this: StreamHandle) => Uint8Array | undefined) | undefined
  readStart(): number
  readStop(): number
  writeLatin1String: WriteCall<string>
  writeBuffer: WriteCall<Uint8Array>
  /** Bytes that libuv has queued. */
  readonly writeQueueSize: number
  /** 0: the request is told when the FIN is on its way. */
  shutdown(request: ShutdownRequest): number
  close(callback: (this: StreamHandle) => void): void
  /** TCP only, as those that follow. */
  reset?(callback: (this: StreamHandle) => void): number
  getpeername?(out: PeerName): number
  setNoDelay?(on: boolean): number
  setKeepAlive?(on: boolean, idleSeconds: number, intervalSeconds: number, probes: number): number
  /** Ours: whom the handle's callbacks tell. */
  reader?: HandleReader
}

export interface HandleReader {
  onConnected(status: number): void
  onRead(): Uint8Array | undefined
  onHandleClosed(): void
}

/** Told when a write that was left over is with the kernel, or has failed. */
export interface WriteOwner {
  onWriteComplete(error: Error | undefined, data: string | Uint8Array): void
}

interface PeerName {
  address?: string
  port?: number
}

interface WriteRequest {
  handle: StreamHandle | null
  oncomplete: (this: WriteRequest, status: number) => void
  async: boolean
  bytes: number
  /** Keeps the data alive while libuv has it. */
  buffer: string | Uint8Array | null
  owner: WriteOwner | undefined
  /** Where the handle makes the request: how the write ended, when it ended before the request was returned. */
  writeStatus?: number | null
}

interface ShutdownRequest {
  handle: StreamHandle | null
  oncomplete: (this: ShutdownRequest, status: number) => void
}

export interface ConnectRequest {
  oncomplete: (this: ConnectRequest, status: number, handle: StreamHandle) => void
}

interface ConnectingHandle extends StreamHandle {
  connect(request: ConnectRequest, hostOrPath: string, port?: number): number | undefined
  connect6?(request: ConnectRequest, host: string, port: number): number
}

interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest
  readonly ShutdownWrap: new () => ShutdownRequest
  readonly streamBaseState: Int32Array
  readonly kReadBytesOrError: number
  readonly kLastWriteWasAsync: number
  /** From version 26 on. */
  readonly kLastWriteErr?: number
}

interface TcpBinding {
  readonly TCP: new (type: number) => ConnectingHandle
  readonly TCPConnectWrap: new () => ConnectRequest
  readonly constants: { readonly SOCKET: number }
}

interface PipeBinding {
  readonly Pipe: new (type: number) => ConnectingHandle
  readonly PipeConnectWrap: new () => ConnectRequest
  readonly constants: { readonly SOCKET: number }
}

function loadBinding(name: string): unknown {
  try {
    return (process as unknown as { binding(name: string): unknown }).binding(name)
  } catch {
    return undefined
  }
}

function hasFunctions(prototype: unknown, names: readonly string[]): boolean {
  return names.every((name) => typeof (prototype as Record<string, unknown> | undefined)?.[name] === 'function')
}

const stream = loadBinding('stream_wrap') as StreamBinding
const tcp = loadBinding('tcp_wrap') as TcpBinding
const pipe = loadBinding('pipe_wrap') as PipeBinding
const streamCalls = ['useUserBuffer', 'readStart', 'readStop', 'writeLatin1String', 'writeBuffer', 'shutdown', 'close', 'connect']

/** Whether this node has all that is used here, in the shape that is expected. */
export const handlesAvailable: boolean =
  typeof (stream as StreamBinding | undefined)?.WriteWrap === 'function' &&
  typeof stream.ShutdownWrap === 'function' &&
  typeof stream.kReadBytesOrError === 'number' &&
  typeof stream.kLastWriteWasAsync === 'number' &&
  stream.streamBaseState instanceof Int32Array &&
  hasFunctions((tcp as Partial<TcpBinding> | undefined)?.TCP?.prototype, [...streamCalls, 'connect6', 'getpeername', 'setNoDelay']) &&
  hasFunctions((pipe as Partial<PipeBinding> | undefined)?.Pipe?.prototype, streamCalls) &&
  typeof tcp.TCPConnectWrap === 'function' &&
  typeof pipe.PipeConnectWrap === 'function'

const handleMakesRequest = typeof (stream as StreamBinding | undefined)?.kLastWriteErr === 'number'
/** A request that was not needed because its write was complete at once; it serves the next one. */
let spare: WriteRequest | undefined

/** Inside `onread`: how many bytes came, or libuv's error code. */
export function lastRead(): number {
  return stream.streamBaseState[stream.kReadBytesOrError]!
}

/** Writes. Returns undefined when the kernel has taken all, 'queued' when a rest waits (the owner is told when it is gone), or the error. */
export function writeTo(handle: StreamHandle, data: string | Buffer, owner: WriteOwner): Error | 'queued' | undefined {
  const { WriteWrap, streamBaseState, kLastWriteWasAsync, kLastWriteErr } = stream
  const given = handleMakesRequest ? null : (spare ?? prepare(new WriteWrap()))
  spare = undefined
  const answer = typeof data === 'string' ? handle.writeLatin1String(given, data) : handle.writeBuffer(given, data)
  let request = given
  if (typeof answer !== 'number') {
    const status = streamBaseState[kLastWriteErr!]!
    if (status !== 0) return systemError(status, 'write')
    request = prepare(answer)
    if (typeof answer.writeStatus === 'number') return answer.writeStatus < 0 ? systemError(answer.writeStatus, 'write') : undefined
  } else if (answer !== 0) return systemError(answer, 'write')
  else if (request === null) return undefined
  else if (streamBaseState[kLastWriteWasAsync] === 0) {
    spare = request
    return undefined
  }
  request.handle = handle
  request.owner = owner
  request.buffer = data
  return 'queued'
}

function prepare(request: WriteRequest): WriteRequest {
  request.oncomplete = onWriteComplete
  request.async = true
  request.bytes = 0
  request.buffer = null
  request.owner = undefined
  return request
}

function onWriteComplete(this: WriteRequest, status: number): void {
  const { owner, buffer } = this
  this.owner = undefined
  this.buffer = null
  this.handle = null
  owner?.onWriteComplete(status < 0 ? systemError(status, 'write') : undefined, buffer ?? '')
}

/** Sends FIN. `onSent` comes when that is done, or cannot be done because the connection is gone. */
export function shutDown(handle: StreamHandle, onSent: () => void): void {
  const request = new stream.ShutdownWrap()
  request.handle = handle
  request.oncomplete = onSent
  // 1: libuv has done it already, and tells nobody.
  if (handle.shutdown(request) !== 0) setImmediate(onSent)
}

/** Starts to connect. `onConnected` comes with 0 or libuv's error code, unless an error is returned. */
export function startConnect(
  address: Address,
  onConnected: ConnectRequest['oncomplete'],
): { handle: StreamHandle; error: Error | undefined } {
  let handle: ConnectingHandle
  let request: ConnectRequest
  let status: number | undefined
  if (address.kind === 'unix') {
    handle = new pipe.Pipe(pipe.constants.SOCKET)
    request = new pipe.PipeConnectWrap()
    request.oncomplete = onConnected
    status = handle.connect(request, address.path)
  } else {
    handle = new tcp.TCP(tcp.constants.SOCKET)
    request = new tcp.TCPConnectWrap()
    request.oncomplete = onConnected
    status = address.host.includes(':')
      ? handle.connect6!(request, address.host, address.port)
      : handle.connect(request, address.host, address.port)
  }
  return { handle, error: status !== undefined && status !== 0 ? systemError(status, 'connect', formatAddress(address)) : undefined }
}

/**
 * Makes `server`, which listens, hand over the handles of new connections instead of sockets. Returns false, and changes nothing, where the
 * server has no handle of the expected kind: its 'connection' events go on then. `onFailed` gets what accept says, such as EMFILE.
 */
export function takeHandles(server: net.Server, onHandle: (handle: StreamHandle) => void, onFailed: (error: Error) => void): boolean {
  const listening = (server as unknown as { _handle?: { onconnection?: (status: number, handle?: StreamHandle) => void } | null })._handle
  if (typeof listening?.onconnection !== 'function') return false
  listening.onconnection = (status, handle) => {
    if (status !== 0 || handle === undefined) onFailed(systemError(status, 'accept'))
    else onHandle(handle)
  }
  return true
}

/** `ip:port` of the peer, `[ip6]:port`, `unix`; or 'unknown' when the connection is gone already. */
export function peerOf(handle: StreamHandle): string {
  if (handle.getpeername === undefined) return 'unix'
  const name: PeerName = {}
  if (handle.getpeername(name) !== 0 || name.address === undefined || name.port === undefined) return 'unknown'
  return formatPeer(name.address, name.port)
}

export function formatPeer(address: string, port: number): string {
  const plain = address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`
}

/** The address in what `formatPeer` made. */
export function addressOf(peer: string): string {
  const colon = peer.lastIndexOf(':')
  if (colon < 0) return peer
  return peer.charCodeAt(0) === 0x5b ? peer.substring(1, colon - 1) : peer.substring(0, colon)
}

/** An error as node's own sockets make them. `place` is what it was tried on. */
export function systemError(status: number, syscall: string, place = ''): Error {
  const code = getSystemErrorName(status)
  return Object.assign(new Error(`${syscall} ${code}${place === '' ? '' : ` ${place}`}`), { code, errno: status, syscall })
}
