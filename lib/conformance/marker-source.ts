/** Markers: eight characters that name one run of one case wherever they turn up. Chance only sets where the count begins. */

const countMax = 36 ** 6

export class MarkerSource {
  #count = Math.floor(Math.random() * countMax)

  next(): string {
    this.#count = (this.#count + 1) % countMax
    return `qx${this.#count.toString(36).padStart(6, '0')}`
  }
}
