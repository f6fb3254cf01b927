/**
 * End-to-end bench: eproxy beside nginx, HAProxy, @fastify/http-proxy and a bare pipe, in one run, on two cores, with the rounds of all
 * interleaved. This file is the order of events: find the proxies, start origin and proxies for each workload, check their answers,
 * warm up, measure, report, end everything. Exit code 0; 1 when anything failed or wrk counted an error; 2 for a wrong
 * command line; 128 + signal when interrupted.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { constants, cpus, release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { allowedCores, shareOneCore } from '../process-figures.ts'
import { ProcessSet } from '../process-set.ts'
import { checkExchange } from './exchange.ts'
import { readOptions, usage, UsageError, type BenchOptions } from './options.ts'
import { programPath, type Peer } from './peers.ts'
import { renderWorkload, type PeerRun } from './report.ts'
import { runRound, runWrk, type Cores, type Load, type Target } from './round.ts'
import { startPeer, type StartedPeer } from './start.ts'
import { spreadOf, type FigureName, type Round } from './summary.ts'
import { checkCpu, isMet, renderChecks, type Check, type WorkloadRuns } from './targets.ts'
import { answerBytes, countedByBytes, writeScript, type Workload } from './workloads.ts'

/** What all steps of one run share. */
interface Run {
  readonly options: BenchOptions
  readonly processes: ProcessSet
  readonly directory: string
  readonly cores: Cores
  readonly wrkPath: string
  readonly originPort: number
  readonly signal: AbortSignal
}

/** A proxy during one workload. */
interface Contestant {
  readonly peer: Peer
  started: StartedPeer | null
  readonly rounds: Round[]
  failure: string | null
}

const answerMs = 10_000
/** Beside the load itself: starting wrk, closing connections, readings. */
const roundOverheadSeconds = 0.2
const workloadOverheadSeconds = 3

async function main(): Promise<number> {
  let options: BenchOptions | null
  try {
    options = readOptions(process.argv.slice(2))
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${error.message}\n\n${usage}`)
    return 2
  }
  if (options === null) {
    process.stdout.write(usage)
    return 0
  }
  const wrkPath = programPath('wrk')
  if (wrkPath === null || programPath('taskset') === null) {
    process.stderr.write('The bench needs the programs wrk and taskset (packages wrk and util-linux).\n')
    return 1
  }

  const interruption = new AbortController()
  let exitCodeOfSignal: number | null = null
  const onSignal = (signal: NodeJS.Signals): void => {
    exitCodeOfSignal ??= 128 + constants.signals[signal]
    interruption.abort(new Error(`interrupted by ${signal}`))
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)

  const directory = mkdtempSync(join(tmpdir(), 'eproxy-bench-'))
  const processes = new ProcessSet()
  // Ending the processes is what makes a running round return early.
  interruption.signal.addEventListener('abort', () => void processes.endAll(), { once: true })
  try {
    return await runBench(options, wrkPath, directory, processes, interruption.signal)
  } catch (error) {
    clearProgress()
    process.stderr.write(`The run ended early: ${messageOf(interruption.signal.aborted ? interruption.signal.reason : error)}\n`)
    return exitCodeOfSignal ?? 1
  } finally {
    await processes.endAll()
    rmSync(directory, { recursive: true, force: true })
  }
}

async function runBench(
  options: BenchOptions,
  wrkPath: string,
  directory: string,
  processes: ProcessSet,
  signal: AbortSignal,
): Promise<number> {
  const { cores, lines: machineLines } = chooseCores()
  const present = findPeers(options.peers)
  for (const line of [...machineLines, ...present.lines, settingsLine(options), estimateLine(options, present.peers.length)]) print(line)
  if (present.peers.length === 0) throw new Error('there is no proxy to measure')
  // The bench itself runs beside the load, never on the core of the proxy.
  execFileSync('taskset', ['-a', '-c', '-p', String(cores.load), String(process.pid)], { stdio: 'ignore' })

  const originPort = await startOrigin(processes, cores)
  const run: Run = { options, processes, directory, cores, wrkPath, originPort, signal }
  const reports: WorkloadRuns[] = []
  for (const workload of options.workloads) {
    const runs = await runWorkload(run, workload, present.peers)
    clearProgress()
    print(`\n${renderWorkload(workload, runs).trimEnd()}`)
    reports.push({ workload, runs })
  }

  const checks = checkCpu(reports)
  if (checks.length > 0) print(`\n${renderChecks(checks)}`)
  const problems = reports.flatMap(({ workload, runs }) => runs.flatMap((entry) => problemsOf(workload, entry)))
  if (options.jsonPath !== null)
    writeFileSync(options.jsonPath, renderJson(options, [...machineLines, ...present.lines], reports, checks, problems))
  print(problems.length === 0 ? '\nno errors' : `\nthe run FAILED:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
  return problems.length === 0 ? 0 : 1
}

function chooseCores(): { readonly cores: Cores; readonly lines: readonly string[] } {
  const allowed = allowedCores()
  const model = `${cpus()[0]?.model ?? 'unknown processor'}, Linux ${release()}`
  const [proxy = 0, load = proxy] = allowed
  if (proxy === load) {
    const warning =
      'FEWER THAN 2 CORES: proxy, origin and load share one core. CPU per request can be compared; requests/s and latency cannot.'
    return { cores: { proxy, load }, lines: [`machine: ${model}, core ${proxy} only`, warning] }
  }
  const lines = [`machine: ${model}, proxy alone on core ${proxy}, wrk and origin on core ${load}`]
  if (shareOneCore(proxy, load)) lines.push(`note: ${proxy} and ${load} are two threads of one physical core; they slow each other down`)
  return { cores: { proxy, load }, lines }
}

function findPeers(wanted: readonly Peer[]): { readonly peers: readonly Peer[]; readonly lines: readonly string[] } {
  const found = wanted.map((peer) => ({ peer, presence: peer.find() }))
  return {
    peers: found.filter(({ presence }) => presence.kind === 'present').map(({ peer }) => peer),
    lines: found.map(({ peer, presence }) =>
      presence.kind === 'present' ? `${peer.name}: ${presence.version}` : `${peer.name}: SKIPPED, ${presence.why}`,
    ),
  }
}

function settingsLine({ rounds, seconds, warmupSeconds, workloads }: BenchOptions): string {
  const coarse = seconds < 2 ? '; rounds below 2 s give coarse figures' : ''
  return `${workloads.length} workload(s), ${rounds} round(s) of ${seconds} s after ${warmupSeconds} s of warm-up${coarse}`
}

function estimateLine({ rounds, seconds, warmupSeconds, workloads }: BenchOptions, peerCount: number): string {
  const loads = peerCount * (rounds * (seconds + roundOverheadSeconds) + (warmupSeconds === 0 ? 0 : warmupSeconds + roundOverheadSeconds))
  const total = Math.round(workloads.length * (loads + workloadOverheadSeconds))
  return `this takes about ${total >= 120 ? `${Math.round(total / 60)} min` : `${total} s`}`
}

async function startOrigin(processes: ProcessSet, cores: Cores): Promise<number> {
  const path = fileURLToPath(new URL('./origin.js', import.meta.url))
  const origin = await processes.start({ name: 'origin', command: process.execPath, args: [path], core: cores.load, withChannel: true })
  const exited = origin.exit.then(() => Promise.reject(new Error(`the origin ended: ${origin.stderr.trim()}`)))
  const [message] = (await Promise.race([once(origin.child, 'message'), exited])) as [{ port: number }]
  // From here on a dead origin shows as errors of every proxy; nothing waits for this promise any more.
  exited.catch(() => {})
  return message.port
}

/** Fresh processes for each workload, so that memory and warmth of one do not count in the next. */
async function runWorkload(run: Run, workload: Workload, peers: readonly Peer[]): Promise<readonly PeerRun[]> {
  const { options, processes, cores, wrkPath, directory, signal } = run
  const scriptPath = writeScript(workload, directory)
  const bytesPerRequest = answerBytes(workload) >= countedByBytes ? answerBytes(workload) : null
  const loadOf = (seconds: number): Load => ({ wrkPath, scriptPath, connections: workload.connections, seconds, bytesPerRequest })
  const contestants: Contestant[] = []
  for (const peer of peers) contestants.push({ peer, started: null, rounds: [], failure: null })

  await eachSound(run, contestants, async (contestant) => {
    showProgress(`${workload.name}: starting ${contestant.peer.name}`)
    contestant.started = await startPeer(processes, contestant.peer, { upstreamPort: run.originPort, directory }, cores.proxy)
    await checkExchange(contestant.started.port, workload, answerMs)
  })
  if (options.warmupSeconds > 0) {
    await eachSound(run, contestants, async (contestant) => {
      showProgress(`${workload.name}: warming up ${contestant.peer.name}`)
      await runWrk(processes, cores, targetOf(contestant), loadOf(options.warmupSeconds))
    })
  }
  for (let round = 1; round <= options.rounds; round += 1) {
    // There and back, so that a drift of the machine does not favour the first.
    await eachSound(run, round % 2 === 1 ? contestants : contestants.toReversed(), async (contestant) => {
      showProgress(`${workload.name}: round ${round} of ${options.rounds}, ${contestant.peer.name}`)
      contestant.rounds.push(await runRound(processes, cores, targetOf(contestant), loadOf(options.seconds)))
    })
  }
  await Promise.all(contestants.flatMap(({ started }) => (started === null ? [] : [processes.end(started.process)])))
  signal.throwIfAborted()
  return contestants
}

/** One after the other; who fails is out of this workload, and the others go on. */
async function eachSound(run: Run, contestants: readonly Contestant[], step: (contestant: Contestant) => Promise<void>): Promise<void> {
  for (const contestant of contestants) {
    if (contestant.failure !== null) continue
    try {
      await step(contestant)
    } catch (error) {
      run.signal.throwIfAborted()
      const proxy = contestant.started?.process
      const ended = proxy?.hasExited === true ? `; its last words: ${proxy.stderr.trim().slice(-500) || 'none'}` : ''
      contestant.failure = `${messageOf(error)}${ended}`
    }
    run.signal.throwIfAborted()
  }
}

function problemsOf(workload: Workload, { peer, rounds, failure }: PeerRun): readonly string[] {
  const errors = rounds.reduce((sum, round) => sum + round.errors, 0)
  return [
    ...(failure === null ? [] : [`${workload.name}, ${peer.name}: ${failure}`]),
    ...(errors === 0 ? [] : [`${workload.name}, ${peer.name}: ${errors} errors`]),
  ]
}

function renderJson(
  options: BenchOptions,
  about: readonly string[],
  reports: readonly WorkloadRuns[],
  checks: readonly Check[],
  problems: readonly string[],
): string {
  const figures = [
    'cpuMicrosPerRequest',
    'userMicrosPerRequest',
    'systemMicrosPerRequest',
    'requestsPerSecond',
    'p50Micros',
    'p99Micros',
    'p999Micros',
    'residentBytes',
    'proxyCoreShare',
    'loadCoreShare',
    'stolenShare',
  ] as const satisfies readonly FigureName[]
  const { rounds, seconds, warmupSeconds } = options
  const workloads = reports.map(({ workload, runs }) => ({
    name: workload.name,
    connections: workload.connections,
    proxies: runs.map((run) => ({
      name: run.peer.name,
      failure: run.failure,
      figures: run.rounds.length === 0 ? null : Object.fromEntries(figures.map((figure) => [figure, spreadOf(run.rounds, figure)])),
      rounds: run.rounds,
    })),
  }))
  return `${JSON.stringify({ at: new Date().toISOString(), about, settings: { rounds, seconds, warmupSeconds }, workloads, checks: checks.map((check) => ({ ...check, isMet: isMet(check) })), problems }, null, 2)}\n`
}

function targetOf({ started }: Contestant): Target {
  if (started === null) throw new Error('it was not started')
  return { port: started.port, pid: started.process.pid }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

process.exitCode = await main()
