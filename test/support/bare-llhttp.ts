/**
 * The embedded llhttp on its own, without anything this project puts around it: the second opinion of the parser's tests, and the proof
 * of what llhttp lets through. Every message runs through a fresh instance of the module, whole.
 */
import { llhttpBase64 } from '../../native-free-parser/wasm/llhttp-bytes.ts'

export interface BareReading {
  /** llhttp's error code, 0 for none. */
  readonly errno: number
  readonly reason: string
  /** Where it stopped, when there was an error. */
  readonly position: number
  readonly target: string
  /** Names and values in the order in which they were told, those of trailers too. */
  readonly rawFields: readonly string[]
  readonly body: string
  readonly completeMessages: number
  readonly keepsAlive: boolean
}

interface BareExports {
  readonly memory: WebAssembly.Memory
  _initialize(): void
  malloc(bytes: number): number
  llhttp_alloc(type: number): number
  llhttp_execute(parser: number, data: number, bytes: number): number
  llhttp_get_error_reason(parser: number): number
  llhttp_get_error_pos(parser: number): number
  llhttp_should_keep_alive(parser: number): number
  llhttp_errno_name(errno: number): number
}

const compiled = new WebAssembly.Module(Buffer.from(llhttpBase64, 'base64'))

/** What the module itself calls an error code. */
export function bareErrorName(errno: number): string {
  const nothing = (): number => 0
  const imports = ['message_begin', 'url', 'status', 'header_field', 'header_value', 'headers_complete', 'body', 'message_complete']
  const env = Object.fromEntries(imports.map((name) => [`wasm_on_${name}`, nothing]))
  const llhttp = new WebAssembly.Instance(compiled, { env }).exports as unknown as BareExports
  llhttp._initialize()
  const memory = Buffer.from(llhttp.memory.buffer)
  const at = llhttp.llhttp_errno_name(errno)
  return memory.toString('latin1', at, memory.indexOf(0, at))
}

export function readBare(kind: 'request' | 'response', raw: string): BareReading {
  let memory: Uint8Array = new Uint8Array(0)
  const text = (at: number, length: number): string => Buffer.from(memory.buffer, at, length).toString('latin1')
  let target = ''
  let body = ''
  let completeMessages = 0
  const rawFields: string[] = []
  const onFieldPart = (_parser: number, at: number, length: number): number => {
    rawFields.push(text(at, length))
    return 0
  }
  const { exports } = new WebAssembly.Instance(compiled, {
    env: {
      wasm_on_message_begin: () => 0,
      wasm_on_url: (_parser: number, at: number, length: number) => {
        target += text(at, length)
        return 0
      },
      wasm_on_status: () => 0,
      wasm_on_header_field: onFieldPart,
      wasm_on_header_value: onFieldPart,
      wasm_on_headers_complete: () => 0,
      wasm_on_body: (_parser: number, at: number, length: number) => {
        body += text(at, length)
        return 0
      },
      wasm_on_message_complete: () => {
        completeMessages++
        return 0
      },
    },
  })
  const llhttp = exports as unknown as BareExports
  llhttp._initialize()
  const parser = llhttp.llhttp_alloc(kind === 'request' ? 1 : 2)
  const octets = Buffer.from(raw, 'latin1')
  const address = llhttp.malloc(octets.length + 1)
  memory = new Uint8Array(llhttp.memory.buffer)
  memory.set(octets, address)
  const errno = llhttp.llhttp_execute(parser, address, octets.length)
  const reasonAt = errno === 0 ? 0 : llhttp.llhttp_get_error_reason(parser)
  return {
    errno,
    reason: reasonAt === 0 ? '' : text(reasonAt, memory.indexOf(0, reasonAt) - reasonAt),
    position: errno === 0 ? octets.length : llhttp.llhttp_get_error_pos(parser) - address,
    target,
    rawFields,
    body,
    completeMessages,
    keepsAlive: llhttp.llhttp_should_keep_alive(parser) === 1,
  }
}
