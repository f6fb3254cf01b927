/** The command line of the bench of workers. Knows nothing of how it runs. */
import { parseArgs } from 'node:util'

export interface WorkerBenchOptions {
  /** Numbers of workers that are compared; the first is the yardstick. */
  readonly workers: readonly number[]
  readonly rounds: number
  readonly seconds: number
  readonly reloads: number
  readonly jsonPath: string | null
}

export class UsageError extends Error {}

export const usage = `Usage: npm run bench:workers -- [options]

  --workers A,B,...   numbers of workers to compare, the first is the yardstick (default 1,2)
  --rounds N          rounds of each, 1 to 100 (default 5)
  --seconds N         length of a round, whole seconds, 1 to 60 (default 3)
  --reloads N         reloads under load at the end, 0 to 100 (default 10)
  --json FILE         writes every round to FILE
  --help              this text
`

/** Null asks for the help text. Throws UsageError. */
export function readOptions(args: readonly string[]): WorkerBenchOptions | null {
  const values = parseStrictly(args)
  if (values.help === true) return null
  return {
    workers: [...new Set((values.workers ?? '1,2').split(',').map((text) => readWhole('--workers', text, 1, 256)))],
    rounds: readWhole('--rounds', values.rounds ?? '5', 1, 100),
    seconds: readWhole('--seconds', values.seconds ?? '3', 1, 60),
    reloads: readWhole('--reloads', values.reloads ?? '10', 0, 100),
    jsonPath: values.json ?? null,
  }
}

function parseStrictly(args: readonly string[]) {
  try {
    const text = { type: 'string' } as const
    const options = { workers: text, rounds: text, seconds: text, reloads: text, json: text, help: { type: 'boolean' } } as const
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function readWhole(flag: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max)
    throw new UsageError(`${flag} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`)
  return value
}
