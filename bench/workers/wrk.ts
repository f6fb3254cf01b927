/** wrk as a child of the bench: one run, and what it counted. */
import type { ProcessSet } from '../process-set.ts'

export interface WrkPlan {
  readonly url: string
  readonly cores: readonly number[]
  readonly threads: number
  readonly connections: number
  readonly seconds: number
  /** A new connection for each request. */
  readonly closes: boolean
}

export interface WrkResult {
  readonly requests: number
  readonly requestsPerSecond: number
  /** Failed connects, reads and writes, timeouts, and answers of 400 and above. */
  readonly errors: number
  /** As wrk writes them. */
  readonly latencyMax: string
}

/** Rejects when wrk gives no result. */
export async function runWrk(processes: ProcessSet, plan: WrkPlan): Promise<WrkResult> {
  const threads = Math.min(plan.threads, plan.connections)
  const field = plan.closes ? ['-H', 'Connection: close'] : []
  const wrk = await processes.start({
    name: 'wrk',
    command: 'taskset',
    args: ['-c', plan.cores.join(','), 'wrk', `-t${threads}`, `-c${plan.connections}`, `-d${plan.seconds}s`, ...field, plan.url],
    core: null,
  })
  const overdue = setTimeout(() => void processes.end(wrk), (plan.seconds + 15) * 1_000)
  const { code, signal } = await wrk.exit.finally(() => clearTimeout(overdue))
  const requests = /^ *(\d+) requests in /m.exec(wrk.stdout)?.[1]
  const rate = /^Requests\/sec: +([\d.]+)$/m.exec(wrk.stdout)?.[1]
  if (code !== 0 || requests === undefined || rate === undefined)
    throw new Error(`wrk ended without a result (${signal ?? `exit code ${code}`}): ${(wrk.stderr + wrk.stdout).trim()}`)
  const counted = /^ *Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)$/m.exec(wrk.stdout)?.slice(1) ?? []
  const refused = /^ *Non-2xx or 3xx responses: (\d+)$/m.exec(wrk.stdout)?.[1] ?? '0'
  return {
    requests: Number(requests),
    requestsPerSecond: Number(rate),
    errors: [...counted, refused].reduce((sum, text) => sum + Number(text), 0),
    latencyMax: /^ *Latency +\S+ +\S+ +(\S+)/m.exec(wrk.stdout)?.[1] ?? '?',
  }
}
