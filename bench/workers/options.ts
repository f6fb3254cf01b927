/** The command line of the bench of workers. Knows nothing of how it runs. */
import { parseFlags, readWhole } from '../command.ts'

export interface WorkerBenchOptions {
  /** Numbers of workers that are compared; the first is the yardstick. */
  readonly workers: readonly number[]
  readonly rounds: number
  readonly seconds: number
  readonly reloads: number
  readonly jsonPath: string | null
}

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
  const text = { type: 'string' } as const
  const options = { workers: text, rounds: text, seconds: text, reloads: text, json: text, help: { type: 'boolean' } } as const
  const { values } = parseFlags({ args: [...args], options })
  if (values.help === true) return null
  return {
    workers: [...new Set((values.workers ?? '1,2').split(',').map((count) => readWhole('--workers', count, 1, 1, 256)))],
    rounds: readWhole('--rounds', values.rounds, 5, 1, 100),
    seconds: readWhole('--seconds', values.seconds, 3, 1, 60),
    reloads: readWhole('--reloads', values.reloads, 10, 0, 100),
    jsonPath: values.json ?? null,
  }
}
