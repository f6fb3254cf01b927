/** What went wrong for somebody who had a right to better: counted in full, and the first few kept word for word. */

const samplesMax = 20

export interface Faults {
  readonly count: number
  readonly samples: readonly string[]
}

export class FaultList implements Faults {
  count = 0
  readonly samples: string[] = []

  add(text: string): void {
    this.count++
    if (this.samples.length < samplesMax) this.samples.push(text.slice(0, 400))
  }
}
