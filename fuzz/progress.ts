/**
 * What can be seen while campaigns run: on a terminal one line for each, which is written again and again; elsewhere a line now and then.
 * Everything goes to standard error, so that a report on standard output stays alone there.
 */
import type { Standing } from './assignment.ts'
import { llhttpStates } from './llhttp-states.ts'

/** Where nothing can be written again: so often at most, and so many times for each campaign. */
const plainMsMin = 15_000
const plainLinesMax = 20

export interface ProgressStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export class ProgressDisplay {
  readonly #stream: ProgressStream
  readonly #now: () => number
  readonly #lines = new Map<string, string>()
  /** When the last line was written that stays. */
  readonly #toldAt = new Map<string, number>()
  #shown = 0

  constructor(stream: ProgressStream, now: () => number) {
    this.#stream = stream
    this.#now = now
  }

  update(name: string, standing: Standing, timeMs: number): void {
    this.#lines.set(name, describeStanding(name, standing, timeMs))
    if (this.#stream.isTTY === true) return this.#draw()
    const now = this.#now()
    const toldAt = this.#toldAt.get(name) ?? now
    const isDue = now - toldAt >= Math.max(plainMsMin, timeMs / plainLinesMax)
    this.#toldAt.set(name, isDue ? now : toldAt)
    if (isDue) this.#stream.write(`${this.#lines.get(name)}\n`)
  }

  remove(name: string): void {
    this.#lines.delete(name)
    this.#toldAt.delete(name)
    if (this.#stream.isTTY === true) this.#draw()
  }

  /** Text that stays, above the lines. */
  say(text: string): void {
    this.#erase()
    this.#stream.write(`${text}\n`)
    if (this.#stream.isTTY === true) this.#draw()
  }

  #draw(): void {
    this.#erase()
    const width = (this.#stream.columns ?? 80) - 1
    for (const line of this.#lines.values()) this.#stream.write(`${line.slice(0, width)}\n`)
    this.#shown = this.#lines.size
  }

  #erase(): void {
    if (this.#shown > 0) this.#stream.write(`\x1b[${this.#shown}A\x1b[J`)
    this.#shown = 0
  }
}

export function describeStanding(name: string, { runs, ms, corpusSize, findings, coverage }: Standing, timeMs: number): string {
  const rate = Math.round((runs * 1_000) / Math.max(1, ms))
  const { edges, edgesTotal, llhttpStates: states, llhttpSteps } = coverage
  return [
    `${name} ${minutes(ms)}${Number.isFinite(timeMs) ? `/${minutes(timeMs)}` : ''}`,
    // Early in the line, because a narrow terminal cuts its end.
    `findings ${findings}`,
    `${count(runs)} runs`,
    `${count(rate)}/s`,
    `edges ${edges}/${edgesTotal}`,
    `llhttp ${states}/${llhttpStates}, ${llhttpSteps} steps`,
    `corpus ${corpusSize}`,
  ].join('  ')
}

export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** As 1:05, or 1:02:05. */
export function minutes(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  const two = (value: number): string => String(value).padStart(2, '0')
  const hours = Math.floor(seconds / 3_600)
  const rest = `${hours > 0 ? two(Math.floor((seconds % 3_600) / 60)) : Math.floor(seconds / 60)}:${two(seconds % 60)}`
  return hours > 0 ? `${hours}:${rest}` : rest
}
