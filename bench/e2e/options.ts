/**
 * The command line of the end-to-end bench: what may be given, within which bounds, and what it means. Knows the names of workloads
 * and proxies, and nothing of how they run.
 */
import { parseArgs } from 'node:util'
import { peerTable, type Peer } from './peers.ts'
import { workloadTable, type Workload } from './workloads.ts'

export interface BenchOptions {
  readonly rounds: number
  readonly seconds: number
  readonly warmupSeconds: number
  readonly workloads: readonly Workload[]
  readonly peers: readonly Peer[]
  readonly jsonPath: string | null
}

export class UsageError extends Error {}

export const usage = `Usage: npm run bench -- [options]

  --rounds N          rounds of each proxy in each workload, 1 to 100 (default 5)
  --seconds N         length of a round, whole seconds, 1 to 60; below 2 the figures are coarse (default 3)
  --warmup N          uncounted seconds before the rounds, 0 to 60 (default 2)
  --workloads A,B     some of: ${workloadTable.map((workload) => workload.name).join(', ')}
  --peers A,B         who is measured beside eproxy, some of: ${peerTable
    .filter((peer) => peer.name !== 'eproxy')
    .map((peer) => peer.name)
    .join(', ')}
  --json FILE         writes every round and every median to FILE
  --help              this text
`

/** Null asks for the help text. Throws UsageError. */
export function readOptions(args: readonly string[]): BenchOptions | null {
  const { values } = parseStrictly(args)
  if (values.help === true) return null
  const names = values.peers === undefined ? peerTable.map((peer) => peer.name) : ['eproxy', ...values.peers.split(',')]
  return {
    rounds: readWhole('--rounds', values.rounds, 5, 1, 100),
    seconds: readWhole('--seconds', values.seconds, 3, 1, 60),
    warmupSeconds: readWhole('--warmup', values.warmup, 2, 0, 60),
    workloads: pick('--workloads', workloadTable, values.workloads?.split(',') ?? workloadTable.map((workload) => workload.name)),
    peers: pick('--peers', peerTable, names),
    jsonPath: values.json ?? null,
  }
}

function parseStrictly(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        warmup: { type: 'string' },
        workloads: { type: 'string' },
        peers: { type: 'string' },
        json: { type: 'string' },
        help: { type: 'boolean' },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function readWhole(flag: string, text: string | undefined, whenAbsent: number, min: number, max: number): number {
  if (text === undefined) return whenAbsent
  const value = Number(text)
  if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
    throw new UsageError(`${flag} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`)
  }
  return value
}

/** In the order of the table, each once, whatever order was given. */
function pick<Row extends { readonly name: string }>(flag: string, table: readonly Row[], names: readonly string[]): readonly Row[] {
  for (const name of names) {
    if (!table.some((row) => row.name === name)) {
      throw new UsageError(`${flag} does not know ${JSON.stringify(name)}; there are ${table.map((row) => row.name).join(', ')}`)
    }
  }
  return table.filter((row) => names.includes(row.name))
}
