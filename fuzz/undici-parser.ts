/**
 * A third opinion: what the llhttp inside undici sees in a stream of messages. It is another release than that of Node and than ours, built
 * by others for WebAssembly, and used here bare: strict, with its own body framing, and without anything that undici puts around it.
 */
import { Buffer } from 'node:buffer'
import { createRequire } from 'node:module'
import type { ForeignMessage, ForeignReading, ReadingOptions } from './foreign-reading.ts'

interface Exports {
  readonly memory: WebAssembly.Memory
  _initialize(): void
  malloc(bytes: number): number
  free(address: number): void
  llhttp_alloc(type: number): number
  llhttp_free(parser: number): void
  llhttp_execute(parser: number, data: number, bytes: number): number
  llhttp_finish(parser: number): number
  llhttp_resume(parser: number): void
  llhttp_resume_after_upgrade(parser: number): void
  llhttp_get_method(parser: number): number
  llhttp_method_name(method: number): number
  llhttp_get_status_code(parser: number): number
  llhttp_get_http_minor(parser: number): number
  llhttp_get_error_pos(parser: number): number
  llhttp_errno_name(errno: number): number
}

const errno = { ok: 0, paused: 21, pausedUpgrade: 22, pausedH2Upgrade: 23 } as const
const types = { request: 1, response: 2 } as const

/** Receives the callbacks of the one parser that runs. */
interface Sink {
  onTarget(at: number, bytes: number): void
  onName(at: number, bytes: number): void
  onValue(at: number, bytes: number): void
  /** 1 when there is no body whatever the head says. */
  onHead(status: number, persists: boolean): 0 | 1
  onBody(at: number, bytes: number): void
  onComplete(): void
}

let sink: Sink | undefined

const require = createRequire(import.meta.url)
const llhttp = instantiate()

function instantiate(): Exports {
  const module = new WebAssembly.Module(require('undici/lib/llhttp/llhttp-wasm.js') as Buffer)
  const instance = new WebAssembly.Instance(module, {
    env: {
      wasm_on_message_begin: () => 0,
      wasm_on_url: (_parser: number, at: number, bytes: number) => tell((one) => one.onTarget(at, bytes)),
      wasm_on_status: () => 0,
      wasm_on_header_field: (_parser: number, at: number, bytes: number) => tell((one) => one.onName(at, bytes)),
      wasm_on_header_value: (_parser: number, at: number, bytes: number) => tell((one) => one.onValue(at, bytes)),
      wasm_on_headers_complete: (_parser: number, status: number, _upgrade: number, persists: number) =>
        sink!.onHead(status, persists === 1),
      wasm_on_body: (_parser: number, at: number, bytes: number) => tell((one) => one.onBody(at, bytes)),
      // Stops there, so that the place can be asked for.
      wasm_on_message_complete: () => {
        sink!.onComplete()
        return errno.paused
      },
    },
  })
  const exports = instance.exports as unknown as Exports
  exports._initialize()
  return exports
}

function tell(what: (sink: Sink) => void): number {
  what(sink!)
  return errno.ok
}

function readName(address: number): string {
  const memory = Buffer.from(llhttp.memory.buffer)
  return memory.toString('latin1', address, memory.indexOf(0, address))
}

/** `ends` is filled whatever is asked. */
export function readWithUndici(kind: 'request' | 'response', bytes: Uint8Array, options: ReadingOptions = {}): ForeignReading {
  const messages: ForeignMessage[] = []
  const ends: number[] = []
  const parser = llhttp.llhttp_alloc(types[kind])
  const data = llhttp.malloc(Math.max(1, bytes.length))
  new Uint8Array(llhttp.memory.buffer).set(bytes, data)
  const text = (at: number, length: number): string => Buffer.from(llhttp.memory.buffer, at, length).toString('latin1')
  let current: ForeignMessage | undefined
  let target = ''
  let fields: string[] = []
  let finals = 0
  sink = {
    onTarget: (at, length) => void (target += text(at, length)),
    onName: (at, length) => {
      if (fields.length % 2 === 1) fields.push('')
      fields.push(text(at, length))
    },
    onValue: (at, length) => {
      const piece = text(at, length)
      if (fields.length % 2 === 1) fields.push(piece)
      else fields[fields.length - 1] += piece
    },
    onHead: (status, persists) => {
      current = {
        method: kind === 'request' ? readName(llhttp.llhttp_method_name(llhttp.llhttp_get_method(parser))) : '',
        target,
        status,
        minorVersion: llhttp.llhttp_get_http_minor(parser),
        rawFields: trimmed(fields),
        rawTrailers: [],
        body: '',
        complete: false,
        persists,
      }
      messages.push(current)
      target = ''
      fields = []
      if (kind === 'request' || status < 200) return 0
      return options.isToHead?.(finals++) === true ? 1 : 0
    },
    onBody: (at, length) => void (current!.body += text(at, length)),
    onComplete: () => {
      current!.complete = true
      current!.rawTrailers.push(...trimmed(fields))
      fields = []
      current = undefined
    },
  }
  let fault = ''
  let stopped = false
  let offset = 0
  while (offset < bytes.length && fault === '' && !stopped) {
    const code = llhttp.llhttp_execute(parser, data + offset, bytes.length - offset)
    if (code === errno.ok) {
      offset = -1
      break
    }
    const position = llhttp.llhttp_get_error_pos(parser) - data
    if (code === errno.paused) {
      llhttp.llhttp_resume(parser)
      ends.push(position)
    } else if (code === errno.pausedUpgrade) {
      stopped = options.stopsAtUpgrade === true
      llhttp.llhttp_resume_after_upgrade(parser)
    } else fault = readName(llhttp.llhttp_errno_name(code))
    offset = position
  }
  // Right behind a message it was paused in, it has not yet noticed that it is between two.
  if (fault === '' && options.hasEnded === true && !stopped && offset < 0) {
    const code = llhttp.llhttp_finish(parser)
    if (code !== errno.ok && code !== errno.paused) fault = readName(llhttp.llhttp_errno_name(code))
  }
  sink = undefined
  llhttp.free(data)
  llhttp.llhttp_free(parser)
  return { messages, fault, ends }
}

/** Values without the white space behind them, which llhttp leaves to its user; the value of a last field without one is there too. */
function trimmed(fields: readonly string[]): string[] {
  const all = fields.length % 2 === 1 ? [...fields, ''] : fields
  return all.map((text, index) => (index % 2 === 1 ? text.replace(/[ \t]+$/, '') : text))
}
