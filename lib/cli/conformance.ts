/**
 * `eproxy-raw conformance` as it runs: selects the cases, shows how far it is, prints the report and writes the files. What is judged, and
 * how, is the business of lib/conformance.
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { loadCases, type ConformanceCase } from '../conformance/case-format.ts'
import { paintFor, type Paint } from '../conformance/paint.ts'
import { renderJunit } from '../conformance/junit-report.ts'
import type { CaseResult, Progress } from '../conformance/result.ts'
import { runSuite, type Subject, type SuiteOutcome } from '../conformance/run-suite.ts'
import { selectCases } from '../conformance/select.ts'
import {
  countByGroup,
  describeExpected,
  describeGroups,
  describeLeftOut,
  describeResult,
  describeSteps,
} from '../conformance/text-report.ts'
import { misuse, quoteArgument } from './command-line.ts'
import type { ConformanceSettings } from './conformance-flags.ts'
import { explainSystemError } from './explain-system-error.ts'
import { suggest } from '../core/suggest.ts'

/**
 * Cases judge what a proxy adds to X-Forwarded-For, which eproxy does on request only. Its nets are off: connections are shared by all
 * clients and reused after every fault, so that what slips through the parser harms somebody, and is seen.
 */
const ownFlags: readonly string[] = ['--forwarded', 'x-forwarded', '--reuse-after-body', 'anyone', '--desync-quarantine-after', '0']
const mainPath = fileURLToPath(new URL('./main.js', import.meta.url))
const signalExitCodes = { SIGINT: 130, SIGTERM: 143 } as const

export function listCases(patterns: readonly string[]): string {
  const cases = select(patterns)
  const width = Math.max(...cases.map(({ id }) => id.length))
  const sectionWidth = Math.max(...cases.map(({ section }) => section.length))
  return `${cases.map(({ id, section, title }) => `${id.padEnd(width)}  ${section.padEnd(sectionWidth)}  ${title}`).join('\n')}\n`
}

/** Resolves with the exit code. Throws ProxyError ERR_EPROXY_OPTION for a pattern that no case fits, an Error when nothing can be judged. */
export async function runConformance(settings: ConformanceSettings): Promise<number> {
  const cases = select(settings.patterns)
  // Whoever asks for a file on standard output wants nothing else there.
  const stream = settings.json === '-' || settings.junit === '-' ? process.stderr : process.stdout
  const paint = paintFor(stream)
  // A reader that has had enough (`| head`) is no failure.
  process.stdout.on('error', () => {})
  const print = (text: string): void => void stream.write(`${text}\n`)
  const progress = new ProgressLine()
  const abort = new AbortController()
  let exitCode: number | undefined
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGINT' || signal === 'SIGTERM') exitCode = signalExitCodes[signal]
    abort.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  try {
    const outcome = await runSuite(toSubject(settings.subject), cases, {
      concurrency: settings.concurrency,
      timeoutMs: settings.timeoutMs,
      signal: abort.signal,
      onStart: (subject) => {
        const flags = settings.subject.kind === 'own' ? `, run with ${ownFlags.join(' ')}` : ''
        print(`${cases.length} cases against ${subject}${flags}`)
      },
      onProgress: (one) => progress.show(one),
    })
    progress.clear()
    print(describe(cases, outcome, settings.describesAll, paint))
    writeFiles(settings, cases, outcome)
    return outcome.results.every((result) => result.passed) && outcome.crashes === 0 ? 0 : 1
  } catch (error) {
    progress.clear()
    if (exitCode !== undefined) return exitCode
    throw isSystemError(error) ? new Error(`cannot run the suite: ${explainSystemError(error)}`, { cause: error }) : error
  } finally {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

function select(patterns: readonly string[]): readonly ConformanceCase[] {
  const all = loadCases()
  const { cases, unmatched } = selectCases(all, patterns)
  const [first] = unmatched
  if (first === undefined) return cases
  const near = suggest(first, [...new Set(all.map(({ group }) => group))])
  throw misuse(`no case fits ${quoteArgument(first)}${near === undefined ? '; --list shows all' : `; did you mean ${near}?`}`)
}

function toSubject(subject: ConformanceSettings['subject']): Subject {
  return subject.kind === 'own' ? { kind: 'own', command: [process.execPath, mainPath], flags: ownFlags } : subject
}

function describe(cases: readonly ConformanceCase[], outcome: SuiteOutcome, describesAll: boolean, paint: Paint): string {
  const { results, leftOut, seconds, crashes, errorTail } = outcome
  const byId = new Map(cases.map((one) => [one.id, one]))
  const blocks = results
    .filter((result) => describesAll || !result.passed)
    .flatMap((result) => {
      const one = byId.get(result.id)
      return one === undefined ? [] : [describeResult(one, result, paint), '']
    })
  const failed = results.filter((result) => !result.passed)
  const mild = failed.filter((result) => result.isMild).length
  const count = `${results.length - failed.length} passed, ${failed.length} failed`
  return [
    '',
    ...blocks,
    describeGroups(countByGroup(results, leftOut), paint),
    '',
    ...describeLeftOut(leftOut),
    ...(mild === 0 ? [] : [`${mild} of the failures are mild: a safe refusal with another status, or without the close after it`]),
    ...(crashes === 0 ? [] : [paint('red', `eproxy crashed ${crashes} times:`), errorTail]),
    `${paint(failed.length === 0 ? 'green' : 'red', count)}${leftOut.length === 0 ? '' : `, ${leftOut.length} not judged`} in ${seconds} s`,
  ].join('\n')
}

function writeFiles({ json, junit }: ConformanceSettings, cases: readonly ConformanceCase[], outcome: SuiteOutcome): void {
  const { results, leftOut, seconds } = outcome
  const byId = new Map(cases.map((one) => [one.id, one]))
  if (json !== undefined) {
    const failed = results.filter((result) => !result.passed)
    const counts = { passed: results.length - failed.length, failed: failed.length, mild: failed.filter(({ isMild }) => isMild).length }
    const { subject, crashes } = outcome
    const report = {
      subject,
      seconds,
      ...counts,
      crashes,
      groups: countByGroup(results, leftOut),
      leftOut,
      results: results.map((result) => withCase(byId.get(result.id), result)),
    }
    write('json', json, `${JSON.stringify(report, null, 1)}\n`)
  }
  if (junit !== undefined) write('junit', junit, renderJunit(byId, results, leftOut, seconds))
}

/** A result with what was sent and expected, in the words of the report. */
function withCase(one: ConformanceCase | undefined, result: CaseResult): object {
  return one === undefined ? result : { ...result, sent: describeSteps(one.send, result.marker), expected: describeExpected(one, result) }
}

function write(flag: string, path: string, text: string): void {
  try {
    if (path === '-') process.stdout.write(text)
    else writeFileSync(path, text)
  } catch (error) {
    throw new Error(`cannot write --${flag} ${path}: ${explainSystemError(error)}`, { cause: error })
  }
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}

/** One line on a terminal, written over and over; nothing elsewhere. */
class ProgressLine {
  readonly #stream = process.stderr
  #shownAt = 0

  show({ done, total, failed, id, isRepetition }: Progress): void {
    const now = performance.now()
    if (!this.#stream.isTTY || (done < total && now - this.#shownAt < 50)) return
    this.#shownAt = now
    const text = `${isRepetition ? 'once more ' : ''}${done} of ${total}${failed === 0 ? '' : `, ${failed} failed`}  ${id}`
    this.#stream.write(`\r\u001b[K${text.slice(0, (this.#stream.columns || 80) - 1)}`)
  }

  clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001b[K')
  }
}
