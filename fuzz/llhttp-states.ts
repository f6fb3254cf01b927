/**
 * The states of llhttp as coverage. No tool sees into WebAssembly, and most of what decides about a head happens there; but llhttp writes the
 * number of its state into its parser whenever it runs out of bytes. So every module instance that is llhttp gets a second parser: after
 * each call of `llhttp_execute` that one starts where the first one started and is given the same bytes one by one, with callbacks that
 * answer like those of the engine. The parser under test runs exactly as it would without us.
 */
import { createHash } from 'node:crypto'

/** States of this build: the size of the jump table at the entrance of its state machine. State 0 is that of a parser which has failed. */
export const llhttpStates = 253

/** sizeof(llhttp_t) in this module, and the offsets of two of its members: see native-free-parser/wasm/engine.ts. */
const parserBytes = 80
const errorPositionOffset = 20
const currentOffset = 28

interface LlhttpExports {
  readonly memory: WebAssembly.Memory
  malloc(bytes: number): number
  llhttp_execute(parser: number, data: number, bytes: number): number
}

type Imports = Record<string, Record<string, (...args: number[]) => number>>

/** What the callbacks of the engine return: the head is all that llhttp gets to see. */
const answers: Readonly<Record<string, number>> = { wasm_on_headers_complete: 1, wasm_on_body: 24, wasm_on_message_complete: 21 }

/**
 * From now on, `onStep` is told about every step of every llhttp whose bytes have this hash: from which state, to which. To be called before
 * the module is compiled.
 */
export function watchLlhttp(sha256: string, onStep: (from: number, to: number) => void): void {
  const watched = new WeakSet<object>()
  const Module = new Proxy(WebAssembly.Module, {
    construct(Plain, [bytes]: [Uint8Array]) {
      const module = new Plain(bytes)
      if (createHash('sha256').update(bytes).digest('hex') === sha256) watched.add(module)
      return module
    },
  })
  const Instance = new Proxy(WebAssembly.Instance, {
    construct(Plain, [module, imports]: [WebAssembly.Module, Imports]) {
      if (!watched.has(module)) return new Plain(module, imports)
      const stepper = new Stepper(onStep)
      return { exports: stepper.attach(new Plain(module, stepper.mute(imports)).exports) }
    },
  })
  Object.assign(WebAssembly, { Module, Instance })
}

class Stepper {
  readonly #onStep: (from: number, to: number) => void
  #isStepping = false

  constructor(onStep: (from: number, to: number) => void) {
    this.#onStep = onStep
  }

  /** The same callbacks, which hear nothing of the second parser. */
  mute({ env = {} }: Imports): Imports {
    const muted = Object.entries(env).map(([name, callback]) => {
      const answer = answers[name] ?? 0
      return [name, (...args: number[]) => (this.#isStepping ? answer : callback(...args))] as const
    })
    return { env: Object.fromEntries(muted) }
  }

  attach(exports: Record<string, unknown>): Record<string, unknown> {
    const llhttp = exports as unknown as LlhttpExports
    let second = 0
    return {
      ...exports,
      llhttp_execute: (parser: number, data: number, bytes: number): number => {
        if (second === 0) second = llhttp.malloc(parserBytes)
        const words = new Int32Array(llhttp.memory.buffer)
        words.copyWithin(second >> 2, parser >> 2, (parser + parserBytes) >> 2)
        const errno = llhttp.llhttp_execute(parser, data, bytes)
        const taken = errno === 0 ? bytes : words[(parser + errorPositionOffset) >> 2]! - data + 1
        this.#isStepping = true
        for (let at = 0; at < bytes && at < taken; at++) {
          const from = words[(second + currentOffset) >> 2]!
          const stop = llhttp.llhttp_execute(second, data + at, 1)
          this.#onStep(from, words[(second + currentOffset) >> 2]!)
          if (stop !== 0) break
        }
        this.#isStepping = false
        return errno
      },
    }
  }
}
