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
  --seconds N         length of a round, whole seconds, 1 to 60; below 2 the figures are coarse (default 2)
  --warmup N          uncounted seconds before the rounds, 0 to 60 (default 1)
  --workloads A,B     some of: ${workloadTable.map((workload) => workload.name).join(', ')}
  --peers A,B         who is measured beside eproxy, some of: ${peerTable
    .filter((peer) => peer.name !== 'eproxy')
    .map((peer) => peer.name)
    .join(', ')}
  --quick             about 2 minutes: 3 rounds of 1 s, the workloads with a target, only native proxies beside eproxy
  --json FILE         writes every round and every median to FILE
  --help              this text
`

/** Null asks for the help text. Throws UsageError. */
export function readOptions(args: readonly string[]): BenchOptions | null {
  const { values } = parseStrictly(args)
  if (values.help === true) return null
  const isQuick = values.quick === true
  const peerNames = peerTable.filter((peer) => !isQuick || peer.kind === 'native').map((peer) => peer.name)
  const workloadNames = workloadTable.filter((workload) => !isQuick || workload.isTarget).map((workload) => workload.name)
  return {
    rounds: readWhole('--rounds', values.rounds, isQuick ? 3 : 5, 1, 100),
    seconds: readWhole('--seconds', values.seconds, isQuick ? 1 : 2, 1, 60),
    warmupSeconds: readWhole('--warmup', values.warmup, 1, 0, 60),
    workloads: pick('--workloads', workloadTable, values.workloads?.split(',') ?? workloadNames),
    peers: pick('--peers', peerTable, ['eproxy', ...(values.peers?.split(',') ?? peerNames)]),
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
        quick: { type: 'boolean' },
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
