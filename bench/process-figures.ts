/**
 * What Linux tells about processes and cores under /proc: CPU time, resident memory, children, load of a core. Reads only;
 * starts and ends nothing. The figures are those of the kernel in its own units, converted once, here.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** A pid is reused; a pid with its start time is not. */
export interface ProcessMark {
  readonly pid: number
  readonly startTicks: number
}

export interface CpuTime {
  readonly userMicros: number
  readonly systemMicros: number
}

/** Ticks since boot of one core. `busy` counts everything but idle and waiting for disk; `stolen` is what the hypervisor took. */
export interface CoreTicks {
  readonly busy: number
  readonly stolen: number
  readonly total: number
}

interface ProcessStat extends ProcessMark {
  readonly parentPid: number
  readonly state: string
  readonly userTicks: number
  readonly systemTicks: number
}

/** The kernel counts CPU time of a process in these, usually 100 in a second. */
export const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'ascii' }))

/** The process and all its descendants. Empty when it does not exist. */
export function processTree(rootPid: number): readonly ProcessMark[] {
  return statTree(rootPid).map(({ pid, startTicks }) => ({ pid, startTicks }))
}

export function isSameProcess(mark: ProcessMark): boolean {
  const stat = readStat(mark.pid)
  return stat !== null && stat.startTicks === mark.startTicks && stat.state !== 'Z'
}

/** CPU time by pid for the process and its descendants; each entry holds all threads of that process. Throws when it has ended. */
export function cpuTimeOfTree(rootPid: number): ReadonlyMap<number, CpuTime> {
  const microsPerTick = 1_000_000 / ticksPerSecond
  const tree = statTree(rootPid)
  if (tree[0] === undefined || tree[0].state === 'Z') throw new Error(`process ${rootPid} has ended`)
  return new Map(
    tree.map((stat) => [stat.pid, { userMicros: stat.userTicks * microsPerTick, systemMicros: stat.systemTicks * microsPerTick }]),
  )
}

/** What the tree used between two readings. A process that is gone took its count along, so that is an error and not a zero. */
export function cpuTimeBetween(before: ReadonlyMap<number, CpuTime>, after: ReadonlyMap<number, CpuTime>): CpuTime {
  for (const pid of before.keys()) {
    if (!after.has(pid)) throw new Error(`process ${pid} ended between two readings of its CPU time`)
  }
  let userMicros = 0
  let systemMicros = 0
  for (const [pid, time] of after) {
    userMicros += time.userMicros - (before.get(pid)?.userMicros ?? 0)
    systemMicros += time.systemMicros - (before.get(pid)?.systemMicros ?? 0)
  }
  return { userMicros, systemMicros }
}

/** VmRSS, summed over the tree: pages that two processes share count twice. */
export function residentBytesOfTree(rootPid: number): number {
  let bytes = 0
  for (const { pid } of statTree(rootPid)) {
    const status = readOrNull(`/proc/${pid}/status`)
    const match = status === null ? null : /^VmRSS:\s+(\d+) kB$/m.exec(status)
    if (match !== null) bytes += Number(match[1]) * 1024
  }
  return bytes
}

/**
 * Whether the process or a descendant of it listens on that TCP port of 127.0.0.1. A connect could not tell: on the port of a
 * proxy that failed to start, something else may answer, and its figures would be those of a dead process.
 */
export function listensOn(rootPid: number, port: number): boolean {
  const address = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const inodes = readFileSync('/proc/net/tcp', 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1] === address && fields[3] === tcpListen)
    .map((fields) => `socket:[${fields[9]}]`)
  return inodes.length > 0 && statTree(rootPid).some(({ pid }) => openFiles(pid).some((file) => inodes.includes(file)))
}

/** Null reads all cores together. */
export function readCore(core: number | null): CoreTicks {
  const name = `cpu${core ?? ''}`
  const line = readFileSync('/proc/stat', 'latin1')
    .split('\n')
    .find((text) => text.startsWith(`${name} `))
  if (line === undefined) throw new Error(`/proc/stat has no line for ${name}`)
  // user nice system idle iowait irq softirq steal; guest time is part of user already.
  const fields = line.split(/\s+/).slice(1, 9).map(Number)
  const total = fields.reduce((sum, ticks) => sum + ticks, 0)
  return { busy: total - fields[3]! - fields[4]!, stolen: fields[7]!, total }
}

/** The cores this process may run on (a container or taskset may have taken some away). */
export function allowedCores(): readonly number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]
  if (list === undefined) throw new Error('/proc/self/status has no Cpus_allowed_list')
  return list.split(',').flatMap((range) => {
    const [first, last] = range.split('-').map(Number) as [first: number, last?: number]
    return Array.from({ length: (last ?? first) - first + 1 }, (_, index) => first + index)
  })
}

/** Two hardware threads of one core disturb each other; a report has to say so. */
export function shareOneCore(coreA: number, coreB: number): boolean {
  const siblingsOf = (core: number): string | null => readOrNull(`/sys/devices/system/cpu/cpu${core}/topology/thread_siblings_list`)
  return coreA !== coreB && siblingsOf(coreA) !== null && siblingsOf(coreA) === siblingsOf(coreB)
}

/** State TCP_LISTEN as /proc/net/tcp writes it. */
const tcpListen = '0A'

function openFiles(pid: number): readonly string[] {
  const directory = `/proc/${pid}/fd`
  return (ignoreGone(() => readdirSync(directory)) ?? []).map((name) => ignoreGone(() => readlinkSync(`${directory}/${name}`)) ?? '')
}

function statTree(rootPid: number): readonly ProcessStat[] {
  const root = readStat(rootPid)
  if (root === null) return []
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readStat(Number(name)))
    .filter((stat) => stat !== null)
  const tree = [root]
  // The list grows while it is walked: children are found after their parents.
  for (const parent of tree) tree.push(...all.filter((stat) => stat.parentPid === parent.pid))
  return tree
}

function readStat(pid: number): ProcessStat | null {
  const text = readOrNull(`/proc/${pid}/stat`)
  if (text === null) return null
  // The name in parentheses may hold blanks and parentheses itself; the fields begin after the last one (proc_pid_stat(5)).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return {
    pid,
    state: fields[0]!,
    parentPid: Number(fields[1]),
    userTicks: Number(fields[11]),
    systemTicks: Number(fields[12]),
    startTicks: Number(fields[19]),
  }
}

function readOrNull(path: string): string | null {
  return ignoreGone(() => readFileSync(path, 'latin1'))
}

/** A process may end at any moment; its files are gone then (ENOENT) or half gone (ESRCH). */
function ignoreGone<Value>(read: () => Value): Value | null {
  try {
    return read()
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return null
    throw error
  }
}
