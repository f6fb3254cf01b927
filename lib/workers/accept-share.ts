/**
 * Keeps one worker from taking what its siblings would have taken a moment later. All accept from one queue, and whoever is awake first
 * takes a burst as a whole; connections that are kept alive then stay where they are. A worker that has more connections than its siblings
 * on average therefore leaves the next ones to them for a few milliseconds. When they do not take them, because they are busy or stand
 * still, it goes on, and waits less readily: a connection never waits long while somebody could serve it. And where connections go as fast
 * as they come there is nothing to even out. Decides only; counts, clock and channel are the caller's.
 */

/** So many connections, or this part of what the siblings have, is no lead. */
const leadMin = 4
const leadPart = 1 / 8
/** After so many it is judged whether connections stay at all. */
const sampleConnections = 64
/** How long the siblings are waited for. */
const yieldMs = 10
/** Not more often is told how many there are, but for those who hold. */
const reportMs = 2

export interface AcceptShareHooks {
  /** Accepts nothing more; false: that cannot be done here. */
  hold(): boolean
  free(): void
  /** Tells whoever knows all workers. */
  report(connections: number): void
  schedule(ms: number, callback: () => void): void
}

export class AcceptShare {
  readonly #hooks: AcceptShareHooks
  #connections = 0
  /** Since the sample began. */
  #came = 0
  #went = 0
  /** Most connections of the last sample did not stay. */
  #isPassing = false
  /** There was a whole sample since the last beat. */
  #isSampled = false
  /** Of the siblings, on average, as far as known. */
  #level = 0
  /** More lead than usual, because nobody took what was left to them. */
  #patience = 0
  #reported = 0
  #isReportDue = false
  #isReportPaused = false
  #isHeld = false
  #holds = 0

  constructor(hooks: AcceptShareHooks) {
    this.#hooks = hooks
  }

  /** After each connection that came or went. */
  onConnections(connections: number): void {
    const hasGrown = connections > this.#connections
    this.#connections = connections
    this.#sample(hasGrown)
    if (this.#isPassing) return this.#catchUp()
    if (Math.abs(connections - this.#reported) * 2 >= this.#lead(connections)) this.#report()
    if (this.#isLeading) {
      if (hasGrown && !this.#isHeld && connections > this.#allowed + this.#patience) this.#hold()
    } else this.#catchUp()
  }

  /** About once a second: what happened before says nothing about what happens now. */
  onBeat(): void {
    if (this.#isSampled) this.#isSampled = false
    else this.#isPassing = false
    this.#came = 0
    this.#went = 0
  }

  /** What the siblings have, on average. */
  onLevel(level: number): void {
    this.#level = level
    if (!this.#isLeading) this.#catchUp()
  }

  #sample(hasGrown: boolean): void {
    if (!hasGrown) {
      // A crowd that leaves says nothing about those who come after it.
      if (this.#went < this.#came) this.#went++
      return
    }
    if (++this.#came < sampleConnections) return
    this.#isPassing = this.#went * 2 > this.#came
    this.#isSampled = true
    this.#came = 0
    this.#went = 0
  }

  get #allowed(): number {
    return this.#level + this.#lead(this.#level)
  }

  get #isLeading(): boolean {
    return this.#connections > this.#allowed
  }

  #lead(level: number): number {
    return Math.max(leadMin, level * leadPart)
  }

  #hold(): void {
    if (!this.#hooks.hold()) return
    this.#isHeld = true
    const number = ++this.#holds
    this.#tell()
    this.#hooks.schedule(yieldMs, () => {
      if (!this.#isHeld || number !== this.#holds) return
      this.#patience = Math.max(leadMin, this.#patience * 2)
      this.#free()
    })
  }

  #catchUp(): void {
    this.#patience = 0
    if (this.#isHeld) this.#free()
  }

  #free(): void {
    this.#isHeld = false
    this.#hooks.free()
  }

  #tell(): void {
    this.#reported = this.#connections
    this.#hooks.report(this.#connections)
  }

  #report(): void {
    if (this.#isReportPaused) {
      this.#isReportDue = true
      return
    }
    this.#isReportPaused = true
    this.#tell()
    this.#hooks.schedule(reportMs, () => {
      this.#isReportPaused = false
      if (!this.#isReportDue) return
      this.#isReportDue = false
      if (this.#reported !== this.#connections) this.#report()
    })
  }
}
