/** Objects that serve one owner after another, so that an owner that waits needs none, and a new one seldom makes one. */

export class Spares<Part> {
  readonly #make: () => Part
  readonly #sparesMax: number
  readonly #spares: Part[] = []

  /** `sparesMax`: a burst should not hold its memory for ever. */
  constructor(make: () => Part, sparesMax: number) {
    this.#make = make
    this.#sparesMax = sparesMax
  }

  take(): Part {
    return this.#spares.pop() ?? this.#make()
  }

  /** Nobody holds `part` any more, and it is as if new. */
  give(part: Part): void {
    if (this.#spares.length < this.#sparesMax) this.#spares.push(part)
  }
}
