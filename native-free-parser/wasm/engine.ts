/**
 * The llhttp WebAssembly module and its memory. One engine holds one instance: a read buffer that sockets fill directly, a second
 * buffer for bytes that arrive elsewhere, and a slab of parser states for heads that arrive in pieces. All of it is allocated once,
 * at construction; the memory never grows afterwards, so views of it stay valid.
 *
 * llhttp is used for heads only: it is stopped behind the empty line of every head. Its callbacks record offsets and do nothing
 * else; nothing of a caller runs while WebAssembly is on the stack, so there is no re-entrance.
 */
import { Buffer } from 'node:buffer'
import { invariant, ParserUsageError } from '../errors.ts'
import { llhttpBase64 } from './llhttp-bytes.ts'

/** The version of llhttp inside the module: a release and the commits after it. */
export const llhttpVersion = '9.2.1+56'

/** Error codes of llhttp that the engine or the fault table name (llhttp.h, enum llhttp_errno). */
export const LlhttpErrno = {
  OK: 0,
  LF_EXPECTED: 3,
  UNEXPECTED_CONTENT_LENGTH: 4,
  INVALID_METHOD: 6,
  INVALID_URL: 7,
  INVALID_CONSTANT: 8,
  INVALID_VERSION: 9,
  INVALID_HEADER_TOKEN: 10,
  INVALID_CONTENT_LENGTH: 11,
  INVALID_STATUS: 13,
  INVALID_TRANSFER_ENCODING: 15,
  PAUSED: 21,
  PAUSED_H2_UPGRADE: 23,
  USER: 24,
  CR_EXPECTED: 25,
} as const

/** Type argument of llhttp_alloc. */
const LlhttpType = { request: 1, response: 2 } as const
export type MessageKind = keyof typeof LlhttpType

interface LlhttpExports {
  readonly memory: WebAssembly.Memory
  _initialize(): void
  malloc(bytes: number): number
  llhttp_alloc(type: number): number
  llhttp_execute(parser: number, data: number, bytes: number): number
}

/** sizeof(llhttp_t) in this module, rounded to its alignment, and the offsets of the members that are read here. */
const parserBytes = 80
const parserWords = parserBytes / 4
const errorReasonOffset = 16
const errorPositionOffset = 20

/** Fields stand in the span array as [nameStart, nameEnd, valueStart, valueEnd], offsets from the start of the head. */
export const spanWidth = 4
/** Measured: reads of 64 KiB cost the kernel half as much again for each byte as those of 32 KiB. */
export const readBufferBytes = 32_768

/** What the callbacks write: the offsets of one head. Belongs to whoever is parsing. */
export class HeadSpans {
  /** Room for `fields` fields. */
  fields: Int32Array
  count = 0
  targetStart = -1
  targetEnd = -1
  constructor(fields: number) {
    this.fields = new Int32Array(fields * spanWidth)
  }
  clear(): void {
    this.count = 0
    this.targetStart = -1
    this.targetEnd = -1
  }
}

const compiled = new WebAssembly.Module(Buffer.from(llhttpBase64, 'base64'))

export interface EngineOptions {
  /** Heads that may be incomplete at one time: one for each connection of either side. */
  readonly slots: number
}

export class Engine {
  /** Sockets read into this. Its bytes are valid until the next read. */
  readonly readBuffer: Buffer
  /** Offset of the last stop in the bytes given to `run`. */
  stop = 0
  /** Where the first field too many begins, when the last `run` found more than `fieldsMax`; otherwise -1. */
  excessField = -1

  readonly #exports: LlhttpExports
  readonly #memory: Uint8Array
  readonly #words: Int32Array
  readonly #readAddress: number
  readonly #copyAddress: number
  readonly #requestPrototype: number
  readonly #responsePrototype: number
  /** Where a head is parsed that has not outlived one read. */
  readonly #current: number
  readonly #slab: number
  readonly #generations: Uint32Array
  readonly #freeSlots: Int32Array
  #freeCount: number
  #running = false
  #bytes: number

  // What the callbacks work on, set by `run`.
  #spans: HeadSpans
  #base = 0
  #fieldsMax = 0

  constructor({ slots }: EngineOptions) {
    const instance = new WebAssembly.Instance(compiled, {
      env: {
        wasm_on_message_begin: () => 0,
        wasm_on_url: (_parser: number, at: number, length: number) => this.#onTarget(at - this.#base, length),
        wasm_on_status: () => 0,
        wasm_on_header_field: (_parser: number, at: number, length: number) => this.#onName(at - this.#base, length),
        wasm_on_header_value: (_parser: number, at: number, length: number) => this.#onValue(at - this.#base, length),
        // 1: there is no body, as far as llhttp is concerned. Bodies are framed by us.
        wasm_on_headers_complete: () => 1,
        wasm_on_body: () => LlhttpErrno.USER,
        wasm_on_message_complete: () => LlhttpErrno.PAUSED,
      },
    })
    const exports = instance.exports as unknown as LlhttpExports
    exports._initialize()
    this.#exports = exports
    const allocate = (bytes: number): number => {
      const address = exports.malloc(bytes)
      invariant(address > 0 && address % 8 === 0, `malloc(${bytes}) gave ${address}`)
      return address
    }
    this.#requestPrototype = exports.llhttp_alloc(LlhttpType.request)
    this.#responsePrototype = exports.llhttp_alloc(LlhttpType.response)
    this.#current = allocate(parserBytes)
    this.#slab = allocate(Math.max(1, slots) * parserBytes)
    this.#readAddress = allocate(readBufferBytes)
    this.#copyAddress = allocate(readBufferBytes)
    const memory = exports.memory.buffer
    this.#bytes = memory.byteLength
    this.#memory = new Uint8Array(memory)
    this.#words = new Int32Array(memory)
    this.readBuffer = Buffer.from(memory, this.#readAddress, readBufferBytes)
    this.#generations = new Uint32Array(slots)
    this.#freeSlots = new Int32Array(slots)
    this.#freeCount = slots
    for (let i = 0; i < slots; i++) this.#freeSlots[i] = slots - 1 - i
    this.#spans = new HeadSpans(1)
  }

  /** Slots in use: heads that are incomplete at this moment. */
  get slotsInUse(): number {
    return this.#freeSlots.length - this.#freeCount
  }

  /** Bytes of linear memory; constant after construction. */
  get memoryBytes(): number {
    return this.#exports.memory.buffer.byteLength
  }

  /** Starts a head: the current parser state becomes that of a fresh parser. */
  begin(kind: MessageKind): void {
    const prototype = kind === 'request' ? this.#requestPrototype : this.#responsePrototype
    this.#copy(this.#current, prototype)
  }

  /** Moves the current state into a slot, because the head goes on in a later read. Returns the slot. */
  suspend(): number {
    if (this.#freeCount === 0) throw new ParserUsageError('ERR_PARSER_SLOTS', `all ${this.#freeSlots.length} parser slots are in use`)
    const slot = this.#freeSlots[--this.#freeCount]!
    this.#copy(this.#address(slot), this.#current)
    return slot
  }

  /** Brings the state of a slot back as the current one; the slot stays taken. */
  resume(slot: number, generation: number): void {
    invariant(this.#generations[slot] === generation, `parser slot ${slot} was freed and is used again`)
    this.#copy(this.#current, this.#address(slot))
  }

  /** Saves the current state into a slot that is already taken. */
  save(slot: number, generation: number): void {
    invariant(this.#generations[slot] === generation, `parser slot ${slot} was freed and is used again`)
    this.#copy(this.#address(slot), this.#current)
  }

  generation(slot: number): number {
    return this.#generations[slot]!
  }

  release(slot: number, generation: number): void {
    invariant(this.#generations[slot] === generation, `parser slot ${slot} is freed twice`)
    this.#generations[slot] = (generation + 1) >>> 0
    this.#freeSlots[this.#freeCount++] = slot
  }

  /**
   * Feeds bytes[start, end) to the current parser. Returns llhttp's error code: 0 when all was taken and more is needed, PAUSED when the
   * head is complete, anything else for a fault; `stop` is the number of bytes taken. Spans are offsets from the start of the head,
   * of which `headBytes` came in earlier runs. At most `readBufferBytes` bytes at a time.
   */
  run(bytes: Uint8Array, start: number, end: number, headBytes: number, spans: HeadSpans, fieldsMax: number): number {
    if (this.#running) throw new ParserUsageError('ERR_PARSER_REENTERED', 'a parser is run inside a callback of another')
    let address: number
    if (bytes.buffer === this.#memory.buffer) address = bytes.byteOffset + start
    else {
      address = this.#copyAddress
      this.#memory.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), address)
    }
    this.#spans = spans
    this.#base = address - headBytes
    this.#fieldsMax = fieldsMax
    this.excessField = -1
    this.#running = true
    let errno: number
    try {
      errno = this.#exports.llhttp_execute(this.#current, address, end - start)
    } finally {
      this.#running = false
    }
    invariant(this.#bytes === this.#memory.length, 'the memory of the parser has grown')
    this.stop = errno === LlhttpErrno.OK ? end - start : this.#words[(this.#current + errorPositionOffset) >> 2]! - address
    return errno
  }

  /** llhttp's own words for the last fault. */
  reason(): string {
    const from = this.#words[(this.#current + errorReasonOffset) >> 2]!
    if (from === 0) return ''
    return Buffer.from(this.#memory.buffer, from, this.#memory.indexOf(0, from) - from).toString('latin1')
  }

  #address(slot: number): number {
    return this.#slab + slot * parserBytes
  }

  #copy(to: number, from: number): void {
    // Twenty words: a loop is cheaper than a call of copyWithin.
    const words = this.#words
    const source = from >> 2
    const target = to >> 2
    for (let i = 0; i < parserWords; i++) words[target + i] = words[source + i]!
  }

  #onTarget(start: number, length: number): number {
    const spans = this.#spans
    if (spans.targetStart < 0) spans.targetStart = start
    spans.targetEnd = start + length
    return LlhttpErrno.OK
  }

  #onName(start: number, length: number): number {
    const spans = this.#spans
    const { fields } = spans
    const last = (spans.count - 1) * spanWidth
    // A name that arrives in two pieces: the second piece begins where the first one ended. A new name never does: a colon is between.
    if (spans.count > 0 && fields[last + 1] === start && fields[last + 2]! < 0) {
      fields[last + 1] = start + length
      return LlhttpErrno.OK
    }
    if (spans.count === this.#fieldsMax) {
      this.excessField = start
      return LlhttpErrno.USER
    }
    const at = spans.count++ * spanWidth
    fields[at] = start
    fields[at + 1] = start + length
    fields[at + 2] = -1
    fields[at + 3] = -1
    return LlhttpErrno.OK
  }

  #onValue(start: number, length: number): number {
    const { fields, count } = this.#spans
    const at = (count - 1) * spanWidth
    if (fields[at + 2]! < 0) fields[at + 2] = start
    fields[at + 3] = start + length
    return LlhttpErrno.OK
  }
}
