/**
 * One line on a terminal that says how far a run is; nothing where standard error is no terminal. Time left comes from the estimate that was
 * announced, corrected by how true it has been so far.
 */
const barChars = 20
const columnsWhenUnknown = 80

export class Progress {
  readonly #startedAt = Date.now()
  readonly #plannedSeconds: number
  #doneSeconds = 0
  #partSeconds = 0
  #partStartedAt = Date.now()

  constructor(plannedSeconds: number) {
    this.#plannedSeconds = Math.max(1, plannedSeconds)
  }

  /** The part before is over; the next one is estimated to take so long. */
  begin(seconds: number): void {
    this.#doneSeconds += this.#partSeconds
    this.#partSeconds = seconds
    this.#partStartedAt = Date.now()
  }

  show(text: string): void {
    if (!process.stderr.isTTY) return
    const now = Date.now()
    const done = this.#doneSeconds + Math.min((now - this.#partStartedAt) / 1_000, this.#partSeconds)
    const plannedLeft = this.#plannedSeconds - done
    // A first part that ran slower than planned says little about the rest; later ones say more.
    const slowness = this.#doneSeconds === 0 ? 1 : (now - this.#startedAt) / 1_000 / done
    const filled = Math.round(Math.min(1, done / this.#plannedSeconds) * barChars)
    const bar = `${'='.repeat(filled)}${' '.repeat(barChars - filled)}`
    const line = `[${bar}] ${timeText(Math.max(0, plannedLeft * slowness))} left  ${text}`
    process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns || columnsWhenUnknown) - 1)}`)
  }

  clear(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  }
}

export function timeText(seconds: number): string {
  return seconds >= 90 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds)} s`
}
