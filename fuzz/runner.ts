/** One run of a target, and what went wrong in it. */
import { SeededRandom } from '../test/support/seeded-random.ts'
import type { Input } from './corpus.ts'
import type { FuzzTarget } from './target.ts'

export class Runner {
  readonly target: FuzzTarget
  readonly #onRun: (input: Input) => void

  /** `onRun` is told before each run, so that somebody knows which one does not come back. */
  constructor(target: FuzzTarget, onRun: (input: Input) => void = () => {}) {
    this.target = target
    this.#onRun = onRun
  }

  /** What the run throws; undefined when all is well. */
  run(input: Input): Error | undefined {
    this.#onRun(input)
    try {
      this.target.run(input.data, new SeededRandom(input.seed))
      return undefined
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }
}

/**
 * What went wrong, without what changes from input to input: the first line of the message without quoted text, rules and numbers kept only
 * as their kind. Two findings with the same signature are one.
 */
export function signatureOf(error: { readonly name: string; readonly message: string }): string {
  const line = error.message.split('\n')[0]!
  return `${error.name}: ${line
    .replace(/"(?:[^"\\]|\\.)*"?/g, '…')
    .replace(/[0-9]+(?: [0-9]+)*/g, 'N')
    .replace(/…(?:,…)+/g, '…')}`.slice(0, 160)
}
