/**
 * End-to-end bench: eproxy beside nginx, HAProxy, proxies on Node and a bare pipe, in one run, on two cores, with the rounds of all
 * interleaved. This file is the order of events: find the proxies, plan, measure part after part, report, draw, end everything. Exit
 * code 0; 1 when anything failed or an error was counted; 2 for a wrong command line; 128 + signal when interrupted. A target that is not
 * met is no failure.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { fileURLToPath } from 'node:url'
import { styleText } from 'node:util'
import { messageOf, runCommand, runInPlace, type RunPlace } from '../command.ts'
import { allowedCores, shareOneCore } from '../process-figures.ts'
import type { ProcessSet } from '../process-set.ts'
import { renderChart } from './chart.ts'
import { roundSeconds, runWorkload } from './closed-loop.ts'
import { ComparedBuilds, renderComparison } from './compare.ts'
import { configuredEntries, runConfigured } from './configured.ts'
import { dripSeconds, runDrips } from './drip.ts'
import { idleSeconds, runIdleConnections } from './idle.ts'
import { largeBodiesSeconds, runLargeBodies } from './large-bodies.ts'
import { openLoopSeconds, runOpenLoop, sameRateSeconds } from './open-loop.ts'
import { partTable, readOptions, usage, type BenchOptions, type PartName } from './options.ts'
import { programPath, type Peer } from './peers.ts'
import { Progress, timeText } from './progress.ts'
import { publish, renderJson } from './publish.ts'
import {
  renderAccessLog,
  renderChecks,
  renderConfigured,
  renderDrips,
  renderIdle,
  renderLargeBodies,
  renderOpenLoop,
  renderStartUps,
  renderWorkload,
} from './report.ts'
import { readResult, resultFormat, type BenchResult } from './result.ts'
import type { Cores } from './round.ts'
import type { Entry, PeerRun, Run } from './run.ts'
import { runStartUps, startUpSeconds } from './start-up.ts'
import type { Round } from './summary.ts'
import { checkTargets } from './targets.ts'
import { workloadTable, type Workload } from './workloads.ts'

/** A part of the run, with what it is expected to take. */
interface Step {
  readonly seconds: number
  /** Measures, keeps what was found in the result, and returns the report. */
  execute(run: Run, result: BenchResult): Promise<string>
}

/** Beside the load itself: starting wrk, closing connections, readings; starting a proxy. */
const roundOverheadSeconds = 0.25
const entryOverheadSeconds = 0.7
/** Beside its clients a proxy needs descriptors for upstream connections (net-pipe as many again), files and itself. */
const spareDescriptors = 200
const smallGet = workloadTable[0]!

async function main(options: BenchOptions): Promise<number> {
  if (options.fromPath !== null) return reportAgain(options, options.fromPath)
  const wrkPath = programPath('wrk')
  if (wrkPath === null) {
    process.stderr.write('The bench needs the program wrk (Debian package wrk).\n')
    return 1
  }
  return await runInPlace('bench', async (place) => {
    if (options.compared === null) return await runBench(options, options.peers, wrkPath, place)
    print(`building ${options.compared.join(' and ')}`)
    using builds = new ComparedBuilds(options.compared, place.directory)
    return await runBench(options, builds.peers, wrkPath, place)
  })
}

async function runBench(
  options: BenchOptions,
  peers: readonly Peer[],
  wrkPath: string,
  { directory, processes, signal }: RunPlace,
): Promise<number> {
  const { cores, machine, notes } = chooseCores()
  const present = findPeers(peers)
  if (present.peers.length === 0) throw new Error('there is no proxy to measure')
  const limit = limitConnections(options)
  const { rounds, seconds, warmupSeconds, accessLog } = options
  const result: BenchResult = {
    format: resultFormat,
    at: new Date().toISOString(),
    machine,
    node: process.version,
    notes: [...notes, ...present.missing, ...limit.notes],
    proxies: present.proxies,
    settings: { rounds, seconds, warmupSeconds, accessLog },
    workloads: [],
    accessLog: null,
    configured: null,
    openLoop: null,
    drips: [],
    idle: [],
    startUps: [],
    largeBodies: [],
  }
  const steps = planRun(options, present.peers)
  const plannedSeconds = steps.reduce((sum, step) => sum + step.seconds, 0)
  print(`machine: ${machine}`)
  for (const { name, version } of present.proxies) print(`${name}: ${version}`)
  for (const note of result.notes) print(`note: ${note}`)
  print(settingsLine(options))
  print(`this takes about ${timeText(plannedSeconds)}`)

  // The bench itself runs beside the load, never on the core of the proxy.
  if (cores.load !== null) execFileSync('taskset', ['-a', '-c', '-p', String(cores.load), String(process.pid)], { stdio: 'ignore' })
  const originPort = await startOrigin(processes, cores)
  const progress = new Progress(plannedSeconds)
  const run: Run = { options, processes, directory, cores, wrkPath, originPort, connectionsMax: limit.connectionsMax, signal, progress }
  try {
    for (const step of steps) {
      progress.begin(step.seconds)
      const report = await step.execute(run, result)
      progress.clear()
      print(`\n${report}`)
    }
  } finally {
    progress.clear()
  }
  return finish(options, result)
}

/** What is made from the data alone, from a run of now or of before. */
function finish(options: BenchOptions, result: BenchResult): number {
  const isComparison = result.proxies.filter(({ kind }) => kind === 'subject').length > 1
  const checks = isComparison ? [] : checkTargets(result)
  if (isComparison) print(`\n${renderComparison(result)}`)
  if (checks.length > 0) print(`\n${renderChecks(checks, paint)}`)
  if (options.jsonPath !== null) writeFileSync(options.jsonPath, renderJson(result))
  if (options.svgPath !== null) writeFileSync(options.svgPath, renderChart(result))
  if (options.writesReadme) publish(result)
  const problems = problemsOf(result)
  print(problems.length === 0 ? '\nno errors' : `\nthe run FAILED:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
  return problems.length === 0 ? 0 : 1
}

function reportAgain(options: BenchOptions, path: string): number {
  let result: BenchResult
  try {
    result = readResult(path)
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`)
    return 1
  }
  print(`measured ${result.at} on ${result.machine}, node ${result.node}`)
  for (const workload of result.workloads) print(`\n${renderWorkload(workload)}`)
  if (result.accessLog !== null) print(`\n${renderAccessLog(result.accessLog)}`)
  if (result.configured !== null) print(`\n${renderConfigured(result.configured)}`)
  if (result.openLoop !== null) print(`\n${renderOpenLoop(result.openLoop)}`)
  if (result.drips.length > 0) print(`\n${renderDrips(result.drips)}`)
  if (result.idle.length > 0) print(`\n${renderIdle(result.idle)}`)
  if (result.startUps.length > 0) print(`\n${renderStartUps(result.startUps)}`)
  if (result.largeBodies.length > 0) print(`\n${renderLargeBodies(result.largeBodies)}`)
  return finish(options, result)
}

function planRun(options: BenchOptions, peers: readonly Peer[]): readonly Step[] {
  const { rounds, warmupSeconds } = options
  const secondsOf = (workload: Workload): number =>
    entryOverheadSeconds +
    rounds * (roundSeconds(workload, options.seconds) + roundOverheadSeconds) +
    (warmupSeconds === 0 ? 0 : warmupSeconds + roundOverheadSeconds)
  const workloads = options.workloads.map((workload): Step => {
    const entries = entriesOf(workload, peers, options)
    return {
      seconds: entries.length * secondsOf(workload),
      execute: async (run, result) => {
        const runs = await runWorkload(run, workload, entries)
        result.workloads.push(runs)
        return renderWorkload(runs)
      },
    }
  })
  return [...workloads, ...options.parts.map((name) => planPart(name, options, peers, secondsOf(smallGet)))]
}

function planPart(name: PartName, options: BenchOptions, peers: readonly Peer[], loadSeconds: number): Step {
  const { rounds, seconds } = options
  const kinds: readonly string[] = partTable.find((part) => part.name === name)!.kinds
  const some = peers.filter((peer) => options.arePeersNamed || kinds.includes(peer.kind))
  const entries = some.map((peer): Entry => ({ name: peer.name, peer, accessLog: false }))
  switch (name) {
    case 'access-log': {
      const both = withAndWithoutLog(some.filter((peer) => peer.hasAccessLog))
      return {
        seconds: both.length * loadSeconds,
        execute: async (run, result) => {
          result.accessLog = await runWorkload(run, smallGet, both)
          return renderAccessLog(result.accessLog)
        },
      }
    }
    case 'configured': {
      const all = configuredEntries(peers[0]!)
      return {
        seconds: all.length * loadSeconds + sameRateSeconds(all.length, rounds, seconds),
        execute: async (run, result) => {
          result.configured = await runConfigured(run, smallGet, all)
          return renderConfigured(result.configured)
        },
      }
    }
    case 'open-loop':
      return {
        seconds: openLoopSeconds(entries.length, rounds, seconds),
        execute: async (run, result) => {
          result.openLoop = await runOpenLoop(run, smallGet, entries)
          return renderOpenLoop(result.openLoop)
        },
      }
    case 'drip':
      return {
        seconds: dripSeconds(entries.length, rounds),
        execute: async (run, result) => {
          result.drips = await runDrips(run, entries)
          return renderDrips(result.drips)
        },
      }
    case 'idle':
      return {
        seconds: idleSeconds(entries.length, rounds),
        execute: async (run, result) => {
          result.idle = await runIdleConnections(run, smallGet, entries)
          return renderIdle(result.idle)
        },
      }
    case 'start-up':
      return {
        seconds: startUpSeconds(entries.length, rounds),
        execute: async (run, result) => {
          result.startUps = await runStartUps(run, entries)
          return renderStartUps(result.startUps)
        },
      }
    case 'large-bodies':
      return {
        seconds: entries.length * largeBodiesSeconds,
        execute: async (run, result) => {
          result.largeBodies = await runLargeBodies(run, entries)
          return renderLargeBodies(result.largeBodies)
        },
      }
  }
}

function entriesOf(workload: Workload, peers: readonly Peer[], options: BenchOptions): readonly Entry[] {
  const some = peers.filter((peer) => options.arePeersNamed || !workload.isForFew || peer.kind !== 'node')
  if (options.accessLog === 'both') return withAndWithoutLog(some)
  const wantsLog = options.accessLog === 'on'
  return some
    .filter((peer) => !wantsLog || peer.hasAccessLog)
    .map((peer) => ({ name: wantsLog ? `${peer.name}+log` : peer.name, peer, accessLog: wantsLog }))
}

function withAndWithoutLog(peers: readonly Peer[]): readonly Entry[] {
  return peers.flatMap((peer) => [
    { name: peer.name, peer, accessLog: false },
    ...(peer.hasAccessLog ? [{ name: `${peer.name}+log`, peer, accessLog: true }] : []),
  ])
}

function chooseCores(): { readonly cores: Cores; readonly machine: string; readonly notes: readonly string[] } {
  const allowed = allowedCores()
  const model = `${cpus()[0]?.model ?? 'unknown processor'}, Linux ${release()}, ${allowed.length} core${allowed.length === 1 ? '' : 's'}`
  if (programPath('taskset') === null) {
    const note =
      'there is no taskset (package util-linux): nothing is bound to a core, proxy and load move about and disturb each other. CPU per request can be compared, roughly; requests/s and latency cannot.'
    return { cores: { proxy: null, load: null }, machine: model, notes: [note] }
  }
  const [proxy = 0, load = proxy] = allowed
  const cores = { proxy, load }
  if (proxy === load) {
    const note = 'there is one core only: proxy, origin and load share it. CPU per request can be compared; requests/s and latency cannot.'
    return { cores, machine: model, notes: [note] }
  }
  const machine = `${model}; proxy alone on core ${proxy}, load and origin on core ${load}`
  if (!shareOneCore(proxy, load)) return { cores, machine, notes: [] }
  return { cores, machine, notes: [`${proxy} and ${load} are two threads of one physical core; they slow each other down`] }
}

function findPeers(wanted: readonly Peer[]): {
  readonly peers: readonly Peer[]
  readonly proxies: BenchResult['proxies']
  readonly missing: readonly string[]
} {
  const found = wanted.map((peer) => ({ peer, presence: peer.find() }))
  return {
    peers: found.filter(({ presence }) => presence.kind === 'present').map(({ peer }) => peer),
    proxies: found.flatMap(({ peer: { name, kind }, presence }) =>
      presence.kind === 'present' ? [{ name, kind, version: presence.version }] : [],
    ),
    missing: found.flatMap(({ peer: { name }, presence }) => (presence.kind === 'missing' ? [`${name} is left out: ${presence.why}`] : [])),
  }
}

/** net-pipe needs two descriptors for each client. Node has raised the soft limit to the hard one, and children inherit it. */
function limitConnections({ workloads, parts }: BenchOptions): { readonly connectionsMax: number; readonly notes: readonly string[] } {
  const text = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
  const descriptors = text === undefined || text === 'unlimited' ? Infinity : Number(text)
  const connectionsMax = Math.min(10_000, Math.floor((descriptors - spareDescriptors) / 2))
  const wanted = Math.max(0, ...workloads.map(({ connections }) => connections), parts.includes('idle') ? 8_000 : 0)
  if (wanted <= connectionsMax) return { connectionsMax, notes: [] }
  return { connectionsMax, notes: [`with ulimit -n ${descriptors} there are at most ${connectionsMax} connections, not ${wanted}`] }
}

function settingsLine({ rounds, seconds, warmupSeconds, workloads, parts, accessLog }: BenchOptions): string {
  const coarse = seconds < 2 ? '; rounds below 2 s give coarse figures' : ''
  const names = [...workloads.map(({ name }) => name), ...parts].join(', ')
  return `${names}: ${rounds} round(s) of ${seconds} s after ${warmupSeconds} s of warm-up, access log ${accessLog}${coarse}`
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

function problemsOf(result: BenchResult): readonly string[] {
  const failures = (part: string, runs: readonly PeerRun<unknown>[]): string[] =>
    runs.flatMap(({ name, failure }) => (failure === null ? [] : [`${part}, ${name}: ${failure}`]))
  const errors = (part: string, runs: readonly PeerRun<{ readonly errors: number }>[]): string[] =>
    runs.flatMap(({ name, rounds }) => {
      const count = rounds.reduce((sum, round) => sum + round.errors, 0)
      return count === 0 ? [] : [`${part}, ${name}: ${count} errors`]
    })
  const both = (part: string, runs: readonly PeerRun<{ readonly errors: number }>[]): string[] => [
    ...failures(part, runs),
    ...errors(part, runs),
  ]
  const logged: readonly PeerRun<Round>[] = result.accessLog?.runs ?? []
  const configured: readonly PeerRun<Round>[] = result.configured?.runs ?? []
  return [
    ...result.workloads.flatMap(({ name, runs }) => both(name, runs)),
    ...both('access-log', logged),
    ...both('configured', configured),
    ...both('configured, same rate', result.configured?.atSameRate ?? []),
    ...both('open-loop', [...(result.openLoop?.own ?? []), ...(result.openLoop?.same ?? [])]),
    ...result.drips.flatMap(({ runs }) => both('drip', runs)),
    ...failures('idle', result.idle),
    ...failures('start-up', result.startUps),
    ...result.largeBodies.flatMap(({ name, direction, failure }) =>
      failure === null ? [] : [`large-bodies, ${name}, ${direction}: ${failure}`],
    ),
  ]
}

function paint(text: string, isGood: boolean): string {
  if (!process.stdout.isTTY || (process.env['NO_COLOR'] ?? '') !== '') return text
  return styleText(isGood ? 'green' : 'red', text)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

process.exitCode = await runCommand(usage, readOptions, main)
