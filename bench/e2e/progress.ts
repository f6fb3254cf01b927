/**
 * One line on a terminal that says how far a run is; nothing where standard error is no terminal. Time left comes from the estimate that was
 * announced, corrected by how true it has been so far.
 */
const barChars = 20
const linePattern = /[^\x20-\x7e]/g

export class Progress {
  readonly #startedAt = Date.now()
  #plannedSeconds = 0
  #doneSeconds = 0

  constructor(plannedSeconds: number) {
    this.#plannedSeconds = Math.max(1, plannedSeconds)
  }

  /** A part of the plan that was estimated to take so long is over. */
  advance(seconds: number): void {
    this.#doneSeconds += seconds
  }

  show(text: string): void {
    if (!process.stderr.isTTY) return
    const share = Math.min(1, this.#doneSeconds / this.#plannedSeconds)
    const elapsedSeconds = (Date.now() - this.#startedAt) / 1_000
    // A first part that ran slower than planned says little about the rest; later ones say more.
    const plannedLeft = this.#plannedSeconds - this.#doneSeconds
    const left = this.#doneSeconds === 0 ? plannedLeft - elapsedSeconds : plannedLeft * (elapsedSeconds / this.#doneSeconds)
    const filled = Math.round(share * barChars)
    const bar = `${'='.repeat(filled)}${' '.repeat(barChars - filled)}`
    const line = `[${bar}] ${timeText(Math.max(0, left))} left  ${text.replace(linePattern, ' ')}`
    process.stderr.write(`\r\x1b[K${line.slice(0, Math.max(20, (process.stderr.columns ?? 80) - 1))}`)
  }

  clear(): void {
    if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
  }
}

export function timeText(seconds: number): string {
  return seconds >= 90 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds)} s`
}
