/** What campaigns come to: kept target by target, and written as a table and as JSON. */
import { relative } from 'node:path'
import type { FoundFault, Outcome } from './assignment.ts'
import { unite, type CoverageFigures } from './coverage.ts'
import { llhttpStates } from './llhttp-states.ts'
import { escapeOctets } from './octets.ts'
import { count, minutes } from './progress.ts'

/** A finding with the file that keeps it. */
export interface ReportedFinding {
  readonly fault: FoundFault
  readonly path: string
}

export interface TargetReport {
  readonly target: string
  runs: number
  /** Of all threads together. */
  ms: number
  slowestMs: number
  corpusSize: number
  coverage: CoverageFigures
  readonly outcomes: Outcome[]
  readonly findings: ReportedFinding[]
}

export class Report {
  readonly #targets = new Map<string, TargetReport>()
  readonly #head: Readonly<Record<string, unknown>>

  /** The head says how the campaigns were made. */
  constructor(head: Readonly<Record<string, unknown>>) {
    this.#head = head
  }

  /** The row of a target; the first call gives it its place. */
  of(target: string): TargetReport {
    let report = this.#targets.get(target)
    if (report === undefined) {
      const coverage = { edges: 0, edgesTotal: 0, llhttpStates: 0, llhttpSteps: 0 }
      report = { target, runs: 0, ms: 0, slowestMs: 0, corpusSize: 0, coverage, outcomes: [], findings: [] }
      this.#targets.set(target, report)
    }
    return report
  }

  add(target: string, outcomes: readonly Outcome[]): void {
    const report = this.of(target)
    report.outcomes.push(...outcomes)
    for (const { runs, ms, slowestMs, corpusSize } of outcomes) {
      report.runs += runs
      report.ms += ms
      report.slowestMs = Math.max(report.slowestMs, slowestMs)
      report.corpusSize = Math.max(report.corpusSize, corpusSize)
    }
    report.coverage = unite(report.outcomes)
  }

  get findings(): readonly ReportedFinding[] {
    return this.#begun.flatMap(({ findings }) => findings)
  }

  /** A finding comes before the outcome of its campaign. */
  get #begun(): readonly TargetReport[] {
    return [...this.#targets.values()].filter(({ outcomes, findings }) => outcomes.length > 0 || findings.length > 0)
  }

  /** One row for each target. */
  describe(): string {
    const rows = this.#begun.map((report) => [
      report.target,
      minutes(report.ms),
      count(report.runs),
      count(rateOf(report)),
      `${count(report.coverage.edges)}/${count(report.coverage.edgesTotal)}`,
      `${report.coverage.llhttpStates}/${llhttpStates}`,
      String(report.coverage.llhttpSteps),
      count(report.corpusSize),
      String(report.findings.length),
    ])
    return alignColumns([['target', 'time', 'runs', 'runs/s', 'edges', 'llhttp states', 'steps', 'corpus', 'findings'], ...rows])
  }

  toJson(root: string): string {
    const targets = this.#begun.map((report) => ({
      target: report.target,
      runs: report.runs,
      seconds: Number((report.ms / 1_000).toFixed(1)),
      runsPerSecond: rateOf(report),
      slowestRunMs: Math.round(report.slowestMs),
      ...report.coverage,
      corpusSize: report.corpusSize,
      findings: report.findings.map(({ fault, path }) => ({
        signature: fault.signature,
        message: fault.message,
        seed: fault.seed,
        bytes: fault.data.length,
        input: escapeOctets(fault.data),
        file: relative(root, path),
      })),
    }))
    return `${JSON.stringify({ ...this.#head, findings: this.findings.length, targets }, null, 2)}\n`
  }
}

function rateOf({ runs, ms }: TargetReport): number {
  return Math.round((runs * 1_000) / Math.max(1, ms))
}

/** The first column to the left, the others to the right. */
function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  '))
    .join('\n')
}
