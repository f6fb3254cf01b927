/**
 * One run of the suite from start to end: whoever is judged is started or sought, what the suite needs on its other side is set up, the
 * cases are run, and everything that was started is stopped again, also when the run is broken off.
 */
import type { ConformanceCase, Need } from './case-format.ts'
import { formatEndpoint, type Endpoint } from './client.ts'
import { ProxyProcess } from './proxy-process.ts'
import { RecordingOrigin } from './recording-origin.ts'
import type { CaseResult, LeftOut, Progress } from './result.ts'
import { ConformanceRunner, lacks } from './runner.ts'
import { forServers, ServerRunner } from './server-runner.ts'

/** Who is judged. */
export type Subject =
  /** eproxy, started for this run by the command, with these flags. */
  | { readonly kind: 'own'; readonly command: readonly [program: string, ...args: string[]]; readonly flags: readonly string[] }
  /** A proxy that runs and forwards everything to the origin of the suite, which listens on `originPort`. */
  | { readonly kind: 'proxy'; readonly endpoint: Endpoint; readonly originHost: string; readonly originPort: number }
  | { readonly kind: 'server'; readonly endpoint: Endpoint }

export interface SuiteOptions {
  readonly concurrency: number
  /** Patience for one exchange. */
  readonly timeoutMs: number
  /** Called once, when the subject answers: who it is, in words. */
  readonly onStart?: (description: string) => void
  readonly onProgress?: (progress: Progress) => void
  /** Ends the run early; it rejects then. */
  readonly signal?: AbortSignal
}

export interface SuiteOutcome {
  readonly subject: string
  readonly results: readonly CaseResult[]
  readonly leftOut: readonly LeftOut[]
  readonly seconds: number
  /** Of a proxy that was started here. */
  readonly crashes: number
  readonly errorTail: string
}

/** Of one run: a proxy that answers nothing must not take the patience of every case. */
const runMsMax = 300_000

const needTexts = {
  via: 'the proxy writes no Via',
  'x-forwarded-for': 'the proxy writes no X-Forwarded-For',
} as const satisfies Record<Need, string>

/** Throws an Error in words for people when the subject cannot be judged at all. */
export async function runSuite(subject: Subject, cases: readonly ConformanceCase[], options: SuiteOptions): Promise<SuiteOutcome> {
  if (subject.kind === 'server') return judgeServer(subject.endpoint, cases, options)
  const origin = new RecordingOrigin()
  let own: ProxyProcess | undefined
  try {
    const [port, host] = subject.kind === 'proxy' ? [subject.originPort, subject.originHost] : [0, '127.0.0.1']
    const originPort = await origin.listen(port, host)
    if (subject.kind === 'own') {
      own = await ProxyProcess.start({ command: subject.command, originPort, flags: subject.flags })
      if (options.signal?.aborted === true) throw brokenOff()
    }
    const proxy = subject.kind === 'own' ? own!.endpoint : subject.endpoint
    const outcome = await unlessAborted(options.signal, judgeProxy(proxy, origin, originPort, cases, options, own))
    return { ...outcome, crashes: own?.crashCount ?? 0, errorTail: own?.errorTail ?? '' }
  } finally {
    await own?.stop()
    await origin.close()
  }
}

async function judgeProxy(
  proxy: Endpoint,
  origin: RecordingOrigin,
  originPort: number,
  cases: readonly ConformanceCase[],
  options: SuiteOptions,
  own: ProxyProcess | undefined,
): Promise<SuiteOutcome> {
  const runner = new ConformanceRunner({ proxy, origin, originPort, runMsMax, ...options })
  const traits = await runner.learn()
  const leftOut = cases.flatMap(({ id, group, needs }) =>
    needs !== undefined && lacks(traits, needs) ? [{ id, group, why: needTexts[needs] }] : [],
  )
  const judged = cases.filter(({ needs }) => needs === undefined || !lacks(traits, needs))
  const subject = `${own === undefined ? 'the proxy at' : 'a fresh eproxy on'} ${formatEndpoint(proxy)}`
  options.onStart?.(subject)
  const startedAt = performance.now()
  const results = await runner.runAll(judged)
  return { subject, results, leftOut, seconds: secondsSince(startedAt), crashes: 0, errorTail: '' }
}

async function judgeServer(server: Endpoint, cases: readonly ConformanceCase[], options: SuiteOptions): Promise<SuiteOutcome> {
  const { judged, leftOut } = forServers(cases)
  const runner = new ServerRunner({ server, runMsMax, ...options })
  const status = await unlessAborted(options.signal, runner.learn())
  const subject = `the server at ${formatEndpoint(server)}, which answers a plain GET with ${status}`
  options.onStart?.(subject)
  const startedAt = performance.now()
  const results = await unlessAborted(options.signal, runner.runAll(judged))
  return { subject, results, leftOut, seconds: secondsSince(startedAt), crashes: 0, errorTail: '' }
}

function secondsSince(startedAt: number): number {
  return Number(((performance.now() - startedAt) / 1000).toFixed(1))
}

async function unlessAborted<T>(signal: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(brokenOff())
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function brokenOff(): Error {
  return new Error('the run was broken off')
}
