/**
 * Micro bench: nanoseconds and heap bytes of one operation, for each part that a request goes through. Batches of all cases take turns, so a
 * disturbance does not hit one alone; the median and the middle eight tenths of the batches are what is told. Exit code 0; 2 for a
 * wrong command line.
 */
import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseFlags, readWhole, runCommand } from '../command.ts'
import { renderTable } from '../e2e/table.ts'
import { makeCases, type MicroCase } from './cases.ts'

interface MicroOptions {
  readonly only: readonly string[]
  readonly rounds: number
  readonly jsonPath: string | null
}

interface Measured {
  readonly name: string
  readonly medianNanos: number
  readonly p10Nanos: number
  readonly p90Nanos: number
  /** Null when node was started without --expose-gc. */
  readonly heapBytes: number | null
}

const warmupMs = 250
const batchMs = 4
const heapOperations = 2_000

const usage = `Usage: npm run bench:micro -- [options]

  --only TEXT,TEXT  only cases whose name holds one of these
  --rounds N        batches of ${batchMs} ms for each case, 3 to 1000 (default 51)
  --json FILE       writes the figures to FILE
  --help            this text
`

async function main({ only, rounds, jsonPath }: MicroOptions): Promise<number> {
  const callbacks: (() => void)[] = []
  const all = makeCases({ defer: (callback) => void callbacks.push(callback) })
  const cases = all.filter(({ name }) => only.length === 0 || only.some((text) => name.includes(text)))
  try {
    if (cases.length === 0) {
      process.stderr.write(`no case has such a name; there are:\n${all.map(({ name }) => `  ${name}\n`).join('')}`)
      return 2
    }
    process.stdout.write(`${cpus()[0]?.model ?? 'unknown processor'}, node ${process.version}; ${rounds} batches of ${batchMs} ms each\n\n`)
    const measured = await measureAll(cases, rounds)
    const rows = measured.map(({ name, medianNanos, p10Nanos, p90Nanos, heapBytes }) => [
      name,
      medianNanos.toFixed(0),
      `${p10Nanos.toFixed(0)}–${p90Nanos.toFixed(0)}`,
      heapBytes === null ? '-' : heapBytes.toFixed(0),
    ])
    process.stdout.write(`${renderTable([['', 'ns/op', 'p10–p90', 'heap bytes/op'], ...rows])}\n`)
    if (jsonPath !== null)
      writeFileSync(jsonPath, `${JSON.stringify({ at: new Date().toISOString(), node: process.version, measured }, null, 2)}\n`)
    return 0
  } finally {
    for (const callback of callbacks) callback()
  }
}

async function measureAll(cases: readonly MicroCase[], rounds: number): Promise<readonly Measured[]> {
  const subjects: { one: MicroCase; perBatch: number; nanos: number[]; heapBytes: number | null }[] = []
  for (const one of cases) subjects.push({ one, perBatch: await warmUp(one), nanos: [], heapBytes: measureHeap(one) })
  for (let round = 0; round < rounds; round += 1) {
    for (const { one, perBatch, nanos } of subjects) nanos.push(timeBatch(one, perBatch))
    await turn()
  }
  return subjects.map(({ one: { name }, nanos, heapBytes }) => {
    const sorted = nanos.sort((a, b) => a - b)
    const at = (share: number): number => sorted[Math.round((sorted.length - 1) * share)]!
    return { name, medianNanos: at(0.5), p10Nanos: at(0.1), p90Nanos: at(0.9), heapBytes }
  })
}

/** Long enough for the compiler; returns how many operations make a batch. */
async function warmUp(one: MicroCase): Promise<number> {
  const { operationsMax = 65_536 } = one
  let nanos = 1
  const until = performance.now() + warmupMs
  for (let count = 16; performance.now() < until; count = Math.min(count * 2, operationsMax)) {
    nanos = timeBatch(one, count)
    await turn()
  }
  return Math.max(1, Math.min(operationsMax, Math.round((batchMs * 1_000_000) / nanos)))
}

/** Timers, and what the parts write, get their time. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1))
}

/** What an operation leaves behind for the garbage collector. The young generation is made large enough to hold it all (package.json). */
function measureHeap(one: MicroCase): number | null {
  if (globalThis.gc === undefined) return null
  globalThis.gc()
  const before = process.memoryUsage().heapUsed
  const operations = Math.min(heapOperations, one.operationsMax ?? heapOperations)
  for (let index = 0; index < operations; index += 1) sink(one.run())
  return Math.max(0, process.memoryUsage().heapUsed - before) / operations
}

function timeBatch({ run }: MicroCase, count: number): number {
  const startedAt = process.hrtime.bigint()
  for (let index = 0; index < count; index += 1) sink(run())
  return Number(process.hrtime.bigint() - startedAt) / count
}

let kept: unknown
function sink(value: unknown): void {
  kept = value
}

/** Null asks for the help text. Throws UsageError. */
function readOptions(args: readonly string[]): MicroOptions | null {
  const { values } = parseFlags({
    args: [...args],
    options: { only: { type: 'string' }, rounds: { type: 'string' }, json: { type: 'string' }, help: { type: 'boolean' } },
  })
  if (values.help === true) return null
  return { only: values.only?.split(',') ?? [], rounds: readWhole('--rounds', values.rounds, 51, 3, 1_000), jsonPath: values.json ?? null }
}

process.exitCode = await runCommand(usage, readOptions, main)
// Read once, or nothing would ever see what was kept.
if (kept === main) process.exitCode = 1
