/**
 * The command line of the end-to-end bench: what may be given, within which bounds, and what it means. Knows the names of workloads
 * and proxies, and nothing of how they run.
 */
import { parseFlags, readWhole, UsageError } from '../command.ts'
import { peerTable, type Peer, type PeerKind } from './peers.ts'
import { workloadTable, type Workload } from './workloads.ts'

/** What is measured besides the workloads of wrk. */
// oxfmt-ignore
export const partTable = [
  { name: 'access-log', doc: 'small GET, access log off and on', kinds: ['subject', 'native', 'node'] },
  { name: 'configured', doc: 'small GET, eproxy as it comes and with everything configured', kinds: ['subject'] },
  { name: 'open-loop', doc: 'latency at a fixed rate, no coordinated omission', kinds: ['subject', 'native'] },
  { name: 'drip', doc: 'CPU for a byte that comes alone', kinds: ['subject', 'native', 'floor'] },
  { name: 'idle', doc: 'memory of 8000 connections that say nothing', kinds: ['subject', 'native', 'node', 'floor'] },
  { name: 'start-up', doc: 'time until it listens', kinds: ['subject', 'native', 'node', 'floor'] },
  { name: 'large-bodies', doc: 'memory while 1 GiB passes', kinds: ['subject'] },
] as const satisfies readonly { readonly name: string; readonly doc: string; readonly kinds: readonly PeerKind[] }[]

export type PartName = (typeof partTable)[number]['name']
export type AccessLogMode = 'off' | 'on' | 'both'

export interface BenchOptions {
  readonly rounds: number
  readonly seconds: number
  readonly warmupSeconds: number
  readonly workloads: readonly Workload[]
  readonly parts: readonly PartName[]
  readonly peers: readonly Peer[]
  /** Named peers run everywhere; the default spares the slow ones some of the workloads. */
  readonly arePeersNamed: boolean
  readonly accessLog: AccessLogMode
  readonly jsonPath: string | null
  readonly svgPath: string | null
  readonly writesReadme: boolean
  /** Measure nothing; report what a file says. */
  readonly fromPath: string | null
  /** Two commits, or '.' for the build that this bench belongs to. */
  readonly compared: readonly [before: string, after: string] | null
}

const names = (rows: readonly { readonly name: string }[]): string => rows.map((row) => row.name).join(', ')

export const usage = `Usage: npm run bench -- [options]

  --quick             about 2 minutes: 3 rounds of 1 s, only the workloads with a target, only native proxies beside eproxy
  --rounds N          rounds of each proxy in each workload, 1 to 100 (default 4)
  --seconds N         length of a round, whole seconds, 1 to 60; below 2 the figures are coarse (default 2)
  --warmup N          uncounted seconds before the rounds, 0 to 60 (default 2)
  --workloads A,B     some of: ${names(workloadTable)}
                      and of: ${names(partTable)}
  --peers A,B         who is measured beside eproxy, some of: ${names(peerTable.filter((peer) => peer.kind !== 'subject'))}; none for nobody
  --access-log MODE   off, on, or both: a line for each request, in all workloads (default off; the workload access-log has both)
  --compare A B       eproxy of two commits instead of other proxies; '.' is what is built here
  --json FILE         writes every round to FILE
  --svg FILE          writes the chart to FILE
  --write-readme      writes bench/results/latest.json and .svg and the part of README.md that shows them
  --from FILE         measures nothing: reports, draws and writes what --json wrote
  --help              this text
`

/** Null asks for the help text. Throws UsageError. */
export function readOptions(args: readonly string[]): BenchOptions | null {
  const { values, positionals } = parseArguments(args)
  if (values.help === true) return null
  const compared = readCompared(values.compare, positionals)
  const isShort = values.quick === true || compared !== null
  const peerNames = peerTable.filter((peer) => values.quick !== true || peer.kind === 'native').map((peer) => peer.name)
  const workloadNames = [
    ...workloadTable.filter((workload) => !isShort || workload.isTarget).map((workload) => workload.name),
    ...(isShort ? [] : partTable.map((part) => part.name)),
  ]
  const wanted = values.workloads?.split(',') ?? workloadNames
  const accessLog = values['access-log'] ?? 'off'
  if (accessLog !== 'off' && accessLog !== 'on' && accessLog !== 'both')
    throw new UsageError(`--access-log must be off, on or both, not ${JSON.stringify(accessLog)}`)
  if (compared !== null && values.peers !== undefined) throw new UsageError('--compare measures eproxy alone: leave out --peers')
  checkNames('--workloads', [...workloadTable, ...partTable], wanted)
  const peers = values.peers === 'none' ? [] : (values.peers?.split(',') ?? peerNames)
  return {
    rounds: readWhole('--rounds', values.rounds, values.quick === true ? 3 : compared === null ? 4 : 8, 1, 100),
    seconds: readWhole('--seconds', values.seconds, isShort ? 1 : 2, 1, 60),
    warmupSeconds: readWhole('--warmup', values.warmup, isShort ? 1 : 2, 0, 60),
    workloads: pick(workloadTable, wanted),
    parts: pick(partTable, wanted).map(({ name }) => name),
    peers: pick(peerTable, checkNames('--peers', peerTable, ['eproxy', ...peers])),
    arePeersNamed: values.peers !== undefined,
    accessLog,
    jsonPath: values.json ?? null,
    svgPath: values.svg ?? null,
    writesReadme: values['write-readme'] === true,
    fromPath: values.from ?? null,
    compared,
  }
}

function parseArguments(args: readonly string[]) {
  return parseFlags({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      warmup: { type: 'string' },
      workloads: { type: 'string' },
      peers: { type: 'string' },
      'access-log': { type: 'string' },
      compare: { type: 'string' },
      json: { type: 'string' },
      svg: { type: 'string' },
      'write-readme': { type: 'boolean' },
      from: { type: 'string' },
      help: { type: 'boolean' },
    },
  })
}

function readCompared(first: string | undefined, rest: readonly string[]): BenchOptions['compared'] {
  if (first === undefined) {
    if (rest.length > 0) throw new UsageError(`${JSON.stringify(rest[0])} is no option`)
    return null
  }
  const [second, ...others] = rest
  if (second === undefined || others.length > 0) throw new UsageError('--compare needs two commits: --compare BEFORE AFTER')
  return [first, second]
}

function checkNames(flag: string, table: readonly { readonly name: string }[], given: readonly string[]): readonly string[] {
  for (const name of given) {
    if (!table.some((row) => row.name === name))
      throw new UsageError(`${flag} does not know ${JSON.stringify(name)}; there are ${names(table)}`)
  }
  return given
}

/** In the order of the table, each once, whatever order was given. */
function pick<Row extends { readonly name: string }>(table: readonly Row[], given: readonly string[]): readonly Row[] {
  return table.filter((row) => given.includes(row.name))
}
