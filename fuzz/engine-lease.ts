/**
 * A parser engine that serves run after run of one target. Making one costs more than most runs; one in which a run went wrong may still hold
 * what that run left behind, so it is thrown away with the run.
 */
import { ParserEngine } from '../native-free-parser/index.ts'
import { expect } from './target.ts'

export class EngineLease {
  readonly #slots: number
  #engine: ParserEngine | undefined
  #memoryBytes = 0

  constructor(slots: number) {
    this.#slots = slots
  }

  /** After `work` no slot is in use and the memory has its size, or the run has found something. */
  use(work: (engine: ParserEngine) => void): void {
    const engine = this.#engine ?? new ParserEngine({ slots: this.#slots })
    if (this.#engine === undefined) this.#memoryBytes = engine.memoryBytes
    this.#engine = undefined
    work(engine)
    expect(engine.slotsInUse === 0, () => `${engine.slotsInUse} parser slots are left in use`)
    expect(engine.memoryBytes === this.#memoryBytes, () => `the memory of the parser has grown to ${engine.memoryBytes} bytes`)
    this.#engine = engine
  }
}
