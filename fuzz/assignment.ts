/** What the runner and its threads tell each other. Everything here can be copied from one thread to another. */
import type { CoverageFigures, Reached } from './coverage.ts'
import type { Input } from './corpus.ts'

/** One campaign for one thread. */
export interface Assignment {
  readonly target: string
  /** Which of the target's canaries takes its place: the campaign ends when it is caught. */
  readonly canary?: number
  /** Which of several campaigns of the target this is. */
  readonly index: number
  readonly seed: number
  readonly timeMs: number
  readonly runsMax?: number
  readonly findingsMax: number
  /** Without guidance, inputs are made from the seeds only. Coverage is measured all the same. */
  readonly isGuided: boolean
  /** Whether the working corpus is read and written; 'adds' leaves what is in it to another thread of the same target. */
  readonly cache: 'none' | 'adds' | 'owns'
}

/** A finding without what only its own thread understands. */
export interface FoundFault extends Input {
  readonly target: string
  readonly signature: string
  readonly name: string
  readonly message: string
  readonly stack: string
  readonly foundBytes: number
}

export interface Standing {
  readonly runs: number
  readonly ms: number
  readonly corpusSize: number
  readonly findings: number
  readonly coverage: CoverageFigures
}

export interface Outcome extends Standing {
  readonly slowestMs: number
  readonly slowestBytes: number
  readonly reached: Reached
}

export type ThreadMessage =
  | { readonly kind: 'progress'; readonly standing: Standing }
  | { readonly kind: 'finding'; readonly fault: FoundFault }
  /** A file of the regression folder is wrong again. */
  | { readonly kind: 'regression'; readonly file: string; readonly fault: FoundFault }
  | { readonly kind: 'done'; readonly outcome: Outcome }

/**
 * Memory that both sides see at all times, because a thread that does not come back answers no message. The thread writes which input it is
 * about to run and counts; the other side reads it when the count stands still.
 */
export class Blackboard {
  readonly memory: SharedArrayBuffer
  readonly #words: Int32Array
  readonly #data: Uint8Array

  constructor(memory = new SharedArrayBuffer(16 + 65_536)) {
    this.memory = memory
    this.#words = new Int32Array(memory, 0, 4)
    this.#data = new Uint8Array(memory, 16)
  }

  /** Runs begun. Wraps around. */
  get beat(): number {
    return Atomics.load(this.#words, 0)
  }

  get isStopped(): boolean {
    return Atomics.load(this.#words, 1) !== 0
  }

  /** Asks the thread to come to an end. */
  stop(): void {
    Atomics.store(this.#words, 1, 1)
  }

  get input(): Input {
    return { seed: this.#words[2]!, data: this.#data.slice(0, this.#words[3]) }
  }

  begin({ data, seed }: Input): void {
    const bytes = Math.min(data.length, this.#data.length)
    this.#words[2] = seed
    this.#words[3] = bytes
    this.#data.set(data.length === bytes ? data : data.subarray(0, bytes))
    Atomics.add(this.#words, 0, 1)
  }
}
