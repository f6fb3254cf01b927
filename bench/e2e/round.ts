/**
 * One round: wrk against one proxy for a few seconds, with readings of /proc before and after. It judges nothing; errors that wrk
 * counted are part of the result, and only a round without a result throws.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { cpuTimeBetween, cpuTimeOfTree, readCore, residentBytesOfTree } from '../process-figures.ts'
import type { ProcessSet } from '../process-set.ts'
import type { Round } from './summary.ts'
import { resultMark } from './workloads.ts'

/** Null where nothing can be bound to a core. */
export interface Cores {
  readonly proxy: number | null
  /** The same as `proxy` where there is one core only. */
  readonly load: number | null
}

export interface Target {
  readonly port: number
  readonly pid: number
}

export interface Load {
  readonly wrkPath: string
  readonly scriptPath: string
  readonly connections: number
  readonly seconds: number
  /** Size of an answer that is counted by its bytes, or null: wrk counts complete answers only. */
  readonly bytesPerRequest: number | null
}

interface WrkResult {
  readonly requests: number
  readonly durationMicros: number
  readonly bytes: number
  readonly p50Micros: number
  readonly p99Micros: number
  readonly p999Micros: number
  readonly errors: {
    readonly connect: number
    readonly read: number
    readonly write: number
    readonly status: number
    readonly timeout: number
  }
}

const sampleMs = 250
/** Closing the connections of a round is work of that round: the second reading waits for it. */
const settleMs = 50

export async function runRound(processes: ProcessSet, cores: Cores, target: Target, load: Load): Promise<Round> {
  const startedAt = process.hrtime.bigint()
  const cpuBefore = cpuTimeOfTree(target.pid)
  const proxyCoreBefore = readCore(cores.proxy)
  const loadCoreBefore = readCore(cores.load)

  let residentBytes = 0
  const sampler = setInterval(() => (residentBytes = Math.max(residentBytes, residentBytesOfTree(target.pid))), sampleMs)
  const result = await runWrk(processes, cores, target, load).finally(() => clearInterval(sampler))
  await delay(settleMs)

  const cpu = cpuTimeBetween(cpuBefore, cpuTimeOfTree(target.pid))
  const proxyCoreAfter = readCore(cores.proxy)
  const loadCoreAfter = readCore(cores.load)
  const wallMicros = Number(process.hrtime.bigint() - startedAt) / 1_000
  const cpuMicros = cpu.userMicros + cpu.systemMicros
  const proxyCoreTicks = proxyCoreAfter.total - proxyCoreBefore.total
  const loadCoreTicks = loadCoreAfter.total - loadCoreBefore.total
  const stolenTicks = proxyCoreAfter.stolen - proxyCoreBefore.stolen + loadCoreAfter.stolen - loadCoreBefore.stolen
  const proxyCoreShare = cpuMicros / wallMicros
  const requests = load.bytesPerRequest === null ? result.requests : result.bytes / load.bytesPerRequest
  if (requests === 0) throw new Error(`wrk completed no request in ${load.seconds} s; errors: ${describeErrors(result) || 'none'}`)
  return {
    requests,
    wallMicros,
    cpuMicrosPerRequest: cpuMicros / requests,
    userMicrosPerRequest: cpu.userMicros / requests,
    systemMicrosPerRequest: cpu.systemMicros / requests,
    requestsPerSecond: (requests * 1_000_000) / result.durationMicros,
    p50Micros: result.p50Micros,
    p99Micros: result.p99Micros,
    p999Micros: result.p999Micros,
    residentBytes: Math.max(residentBytes, residentBytesOfTree(target.pid)),
    proxyCoreShare,
    foreignShare:
      cores.proxy === cores.load ? null : Math.max(0, (proxyCoreAfter.busy - proxyCoreBefore.busy) / proxyCoreTicks - proxyCoreShare),
    loadCoreShare: (loadCoreAfter.busy - loadCoreBefore.busy) / loadCoreTicks,
    stolenShare: stolenTicks / (proxyCoreTicks + loadCoreTicks),
    errors: Object.values(result.errors).reduce((sum, count) => sum + count, 0),
    errorText: describeErrors(result),
  }
}

export async function runWrk(processes: ProcessSet, cores: Cores, target: Target, load: Load): Promise<WrkResult> {
  const args = ['-t1', `-c${load.connections}`, `-d${load.seconds}s`, '-s', load.scriptPath, `http://127.0.0.1:${target.port}/`]
  const wrk = await processes.start({ name: 'wrk', command: load.wrkPath, args, core: cores.load })
  const overdue = setTimeout(() => void processes.end(wrk), (load.seconds + 15) * 1_000)
  const { code, signal } = await wrk.exit.finally(() => clearTimeout(overdue))
  const line = wrk.stdout.split('\n').find((text) => text.startsWith(resultMark))
  if (code !== 0 || line === undefined) {
    throw new Error(`wrk ended without a result (${signal ?? `exit code ${code}`}): ${(wrk.stderr + wrk.stdout).trim()}`)
  }
  return JSON.parse(line.slice(resultMark.length)) as WrkResult
}

function describeErrors(result: WrkResult): string {
  return Object.entries(result.errors)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count} ${errorKindTable[kind] ?? kind}`)
    .join(', ')
}

const errorKindTable: Readonly<Record<string, string>> = {
  connect: 'failed connects',
  read: 'read errors',
  write: 'write errors',
  status: 'answers of 400 and above',
  timeout: 'timeouts',
}
