/**
 * What several workers cost and bring: throughput, CPU time per request and how evenly work is shared, for each number of workers, in
 * interleaved rounds; then connects one after the other, a crowd of idle ones, and reloads under load. Exit code 0; 1 when anything
 * failed or an error was counted; 2 for a wrong command line; 128 + signal when interrupted.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { runCommand, runInPlace } from '../command.ts'
import { renderTable } from '../e2e/table.ts'
import { spread } from '../e2e/summary.ts'
import { allowedCores } from '../process-figures.ts'
import type { ProcessSet } from '../process-set.ts'
import { Contestant, differenceOf, unevenness } from './contestant.ts'
import { planCores, type CorePlan } from './cores.ts'
import { readOptions, usage, type WorkerBenchOptions } from './options.ts'
import { runWrk } from './wrk.ts'

interface Round {
  readonly requestsPerSecond: number
  readonly cpuMicrosPerRequest: number
  readonly unevenRequests: number
  readonly unevenConnections: number
  readonly errors: number
}

interface Load {
  readonly name: string
  readonly closes: boolean
}

const loads: readonly Load[] = [
  { name: 'small GET, connections kept', closes: false },
  { name: 'small GET, a new connection each', closes: true },
]
const connectionsPerWorker = 64
const warmupSeconds = 1
const sequentialConnects = 500
const idleConnections = 1_000
const looksMax = 1_000

/** True when there was no error. */
async function runBench(options: WorkerBenchOptions, processes: ProcessSet): Promise<boolean> {
  const { workers, rounds, seconds, reloads } = options
  const workersMax = Math.max(...workers)
  const allowed = allowedCores()
  const plan = planCores(allowed, workersMax)
  print(`machine: ${cpus()[0]?.model ?? 'unknown processor'}, ${allowed.length} core(s), node ${process.version}`)
  for (const line of describePlan(plan, workersMax)) print(line)
  const total = loads.length * workers.length * (warmupSeconds + rounds * seconds) + reloads * 2 + 10
  print(`${rounds} round(s) of ${seconds} s for each of ${workers.join(', ')} worker(s); this takes about ${total} s`)

  const upstreams = await Promise.all(Array.from({ length: plan.origins }, () => startOrigin(processes, plan)))
  const contestants: Contestant[] = []
  try {
    for (const count of workers) contestants.push(await Contestant.start(count, upstreams, plan.workers))
    return await runContest(options, processes, plan, contestants)
  } finally {
    await Promise.all(contestants.map((contestant) => contestant[Symbol.asyncDispose]()))
  }
}

async function runContest(
  { workers, rounds, seconds, reloads, jsonPath }: WorkerBenchOptions,
  processes: ProcessSet,
  plan: CorePlan,
  contestants: readonly Contestant[],
): Promise<boolean> {
  const workersMax = Math.max(...workers)
  const results = new Map<Load, Map<Contestant, Round[]>>()
  for (const load of loads) {
    const byContestant = new Map(contestants.map((contestant) => [contestant, [] as Round[]]))
    results.set(load, byContestant)
    for (const contestant of contestants) await measure(processes, plan, contestant, load, warmupSeconds, workersMax)
    for (let round = 0; round < rounds; round++) {
      for (const contestant of contestants)
        byContestant.get(contestant)!.push(await measure(processes, plan, contestant, load, seconds, workersMax))
    }
    print(`\n${load.name}\n${renderRounds(byContestant, contestants[0]!)}`)
  }

  const crowd = contestants.find((contestant) => contestant.workers === workersMax)!
  let errors = [...results.values()].flatMap((map) => [...map.values()].flat()).reduce((sum, round) => sum + round.errors, 0)
  print(`\nworkers: ${crowd.workers}`)
  print(`start to listening: ${contestants.map(({ workers: count, startMs }) => `${startMs.toFixed(0)} ms with ${count}`).join(', ')}`)
  print(`${sequentialConnects} connects, one after the other: ${await spreadOfConnects(crowd, connectInTurn)}`)
  print(`${idleConnections} connects at once, kept idle: ${await spreadOfConnects(crowd, connectAtOnce)}`)
  if (reloads > 0) errors += await reloadUnderLoad(processes, plan, crowd, reloads)
  if (jsonPath !== null) {
    const figures = [...results].map(([load, map]) => ({
      load: load.name,
      rounds: [...map].map(([contestant, list]) => ({ workers: contestant.workers, list })),
    }))
    writeFileSync(jsonPath, `${JSON.stringify({ at: new Date().toISOString(), plan, figures }, null, 2)}\n`)
  }
  print(errors === 0 ? '\nno errors' : `\nthe run FAILED: ${errors} errors`)
  return errors === 0
}

function describePlan(plan: CorePlan, workersMax: number): readonly string[] {
  if (plan.workers !== null) {
    const origins = `${plan.origins} origin(s)`
    return [`workers on cores ${plan.workers.join(',')}, one each; wrk and ${origins} on cores ${plan.load.join(',')}`]
  }
  return [
    `FEWER THAN ${2 * workersMax} CORES: workers, wrk and the origin share all of them. CPU per request and the spread of connections can be`,
    'compared, throughput cannot: a second worker only takes time that wrk and the origin need.',
    `On a larger machine, with 2 N cores: npm run bench:workers -- --workers 1,2,...,N pins each worker to a core of its own (0 to N-1) and`,
    'wrk with N/2 origins to the others (N to 2 N - 1).',
  ]
}

async function startOrigin(processes: ProcessSet, plan: CorePlan): Promise<string> {
  const path = fileURLToPath(new URL('../e2e/origin.js', import.meta.url))
  const origin = await processes.start({ name: 'origin', command: process.execPath, args: [path], core: null, withChannel: true })
  execFileSync('taskset', ['-a', '-c', '-p', plan.load.join(','), String(origin.pid)], { stdio: 'ignore' })
  const exited = origin.exit.then(() => Promise.reject(new Error(`the origin ended: ${origin.stderr.trim()}`)))
  const [message] = (await Promise.race([once(origin.child, 'message'), exited])) as [{ port: number }]
  exited.catch(() => {})
  return `127.0.0.1:${message.port}`
}

async function measure(
  processes: ProcessSet,
  plan: CorePlan,
  contestant: Contestant,
  load: Load,
  seconds: number,
  workersMax: number,
): Promise<Round> {
  const before = await contestant.read()
  const result = await runWrk(processes, {
    url: `http://${contestant.address}/`,
    cores: plan.load,
    threads: plan.origins,
    connections: connectionsPerWorker * workersMax,
    seconds,
    closes: load.closes,
  })
  const difference = differenceOf(before, await contestant.read())
  return {
    requestsPerSecond: result.requestsPerSecond,
    cpuMicrosPerRequest: difference.cpuMicros / result.requests,
    unevenRequests: unevenness(difference.exchanges),
    unevenConnections: unevenness(difference.connections),
    errors: result.errors,
  }
}

function renderRounds(byContestant: ReadonlyMap<Contestant, readonly Round[]>, yardstick: Contestant): string {
  const base = byContestant.get(yardstick)!
  const head = [
    'workers',
    'requests/s',
    'CPU us/request',
    `CPU ratio to ${yardstick.workers}`,
    'uneven requests',
    'uneven connections',
    'errors',
  ]
  const rows = [...byContestant].map(([contestant, rounds]) => [
    String(contestant.workers),
    show(
      rounds.map((round) => round.requestsPerSecond),
      0,
    ),
    show(
      rounds.map((round) => round.cpuMicrosPerRequest),
      1,
    ),
    // Round by round, as they were disturbed by the same things.
    show(
      rounds.map((round, index) => round.cpuMicrosPerRequest / base[index]!.cpuMicrosPerRequest),
      2,
    ),
    contestant.workers === 1
      ? '-'
      : `${show(
          rounds.map((round) => round.unevenRequests * 100),
          1,
        )} %`,
    contestant.workers === 1
      ? '-'
      : `${show(
          rounds.map((round) => round.unevenConnections * 100),
          1,
        )} %`,
    String(rounds.reduce((sum, round) => sum + round.errors, 0)),
  ])
  return renderTable([head, ...rows])
}

function show(values: readonly number[], digits: number): string {
  const { median, min, max } = spread(values)
  return `${median.toFixed(digits)} (${min.toFixed(digits)}–${max.toFixed(digits)})`
}

async function spreadOfConnects(contestant: Contestant, connectAll: (address: string) => Promise<readonly Socket[]>): Promise<string> {
  const before = await contestant.read()
  const sockets = await connectAll(contestant.address)
  // The kernel connects before anybody accepts.
  let shares: readonly number[] = []
  for (let look = 0; look < looksMax; look++) {
    shares = differenceOf(before, await contestant.read()).connections
    if (shares.reduce((sum, share) => sum + share, 0) === sockets.length) break
  }
  for (const socket of sockets) socket.destroy()
  return `${shares.join(' / ')} (uneven by ${(unevenness(shares) * 100).toFixed(0)} %)`
}

async function connectInTurn(address: string): Promise<readonly Socket[]> {
  const sockets: Socket[] = []
  for (let index = 0; index < sequentialConnects; index++) {
    const socket = open(address)
    await once(socket, 'connect')
    socket.write('GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n')
    await once(socket, 'data')
    sockets.push(socket)
  }
  return sockets
}

async function connectAtOnce(address: string): Promise<readonly Socket[]> {
  const sockets = Array.from({ length: idleConnections }, () => open(address))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  return sockets
}

function open(address: string): Socket {
  const [host = '', port = ''] = address.split(':')
  return connect({ host, port: Number(port) })
}

/** Two loads, kept connections and new ones, while every worker is replaced again and again. Returns the errors. */
async function reloadUnderLoad(processes: ProcessSet, plan: CorePlan, contestant: Contestant, reloads: number): Promise<number> {
  let done = 0
  const seconds = Math.max(5, reloads * 2)
  const wrk = (closes: boolean, connections: number) =>
    runWrk(processes, { url: `http://${contestant.address}/`, cores: plan.load, threads: 1, connections, seconds, closes })
  const running = Promise.all([wrk(false, connectionsPerWorker), wrk(true, connectionsPerWorker >> 2)])
  const startedAt = performance.now()
  for (; done < reloads && performance.now() - startedAt < (seconds - 1) * 1_000; done++) await contestant.group.reload()
  const [kept, closed] = await running
  print(
    `${done} reloads under load: ${kept.requests + closed.requests} requests, ${kept.errors + closed.errors} errors, slowest ${kept.latencyMax} (kept), ${closed.latencyMax} (new connections)`,
  )
  if (done < reloads) print(`note: ${reloads - done} of ${reloads} reloads did not fit into ${seconds} s`)
  return kept.errors + closed.errors
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

process.exitCode = await runCommand(usage, readOptions, (options) =>
  runInPlace('workers', async ({ processes }) => ((await runBench(options, processes)) ? 0 : 1)),
)
