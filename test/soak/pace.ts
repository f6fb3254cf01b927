/** The rests that a crowd of peers takes between one thing and the next, all of which end when the crowd is told to stop. */

export class Pace {
  readonly #resting = new Set<() => void>()
  #isOver = false

  get isOver(): boolean {
    return this.#isOver
  }

  /** So many milliseconds, or fewer: until `end`. */
  async rest(ms: number): Promise<void> {
    if (this.#isOver || ms === 0) return
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        this.#resting.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      this.#resting.add(wake)
    })
  }

  end(): void {
    this.#isOver = true
    for (const wake of [...this.#resting]) wake()
  }

  /** Calls back at the end. Returns what cancels that. */
  onEnd(callback: () => void): () => void {
    this.#resting.add(callback)
    return () => this.#resting.delete(callback)
  }
}
