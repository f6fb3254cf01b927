/**
 * The frame of the commands of this folder: help, a wrong command line (exit code 2), an early end (1), signals (128 + signal), and a folder and
 * processes that are gone at the end. What a command does in between, and the exit code of that, is its own.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, type ParseArgsConfig } from 'node:util'
import { ProcessSet } from './process-set.ts'

export class UsageError extends Error {}

/** `readOptions`: null asks for the help text; throws UsageError. Returns the exit code. */
export async function runCommand<Options>(
  usage: string,
  readOptions: (args: readonly string[]) => Options | null,
  run: (options: Options) => number | Promise<number>,
): Promise<number> {
  let options: Options | null
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
  return await run(options)
}

/** What a run has until it ends. */
export interface RunPlace {
  readonly directory: string
  /** All of them are ended by a signal: whoever waits for one goes on, and finds that nothing can be started any more. */
  readonly processes: ProcessSet
  readonly signal: AbortSignal
}

/** Does work that starts processes and that a signal may end at any time. Returns its exit code. */
export async function runInPlace(name: string, work: (place: RunPlace) => Promise<number>): Promise<number> {
  const interruption = new AbortController()
  let exitCodeOfSignal: number | undefined
  const directory = mkdtempSync(join(tmpdir(), `eproxy-${name}-`))
  const processes = new ProcessSet()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      exitCodeOfSignal ??= 128 + constants.signals[signal]
      interruption.abort(new Error(`interrupted by ${signal}`))
      void processes.endAll()
    })
  }
  try {
    const exitCode = await work({ directory, processes, signal: interruption.signal })
    return exitCodeOfSignal ?? exitCode
  } catch (error) {
    process.stderr.write(`The run ended early: ${messageOf(interruption.signal.aborted ? interruption.signal.reason : error)}\n`)
    return exitCodeOfSignal ?? 1
  } finally {
    await processes.endAll()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** `parseArgs` of Node, in which what is wrong is a UsageError. */
export function parseFlags<const Config extends ParseArgsConfig>(config: Config): ReturnType<typeof parseArgs<Config>> {
  try {
    return parseArgs(config)
  } catch (error) {
    throw new UsageError(messageOf(error))
  }
}

/** Throws UsageError. */
export function readWhole(flag: string, text: string | undefined, whenAbsent: number, min: number, max: number): number {
  if (text === undefined) return whenAbsent
  const value = Number(text)
  if (/^[0-9]+$/.test(text) && value >= min && value <= max) return value
  throw new UsageError(`${flag} must be a whole number from ${min} to ${max}, not ${JSON.stringify(text)}`)
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
