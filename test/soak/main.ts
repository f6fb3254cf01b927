/** The command `npm run soak`: reads its options, shows how far it is, prints the report, and exits with the verdict. Linux only. */
import { writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { judgeSoak } from './checks.ts'
import { readCommand, usage, type Command } from './options.ts'
import { renderProgress, renderReport } from './report.ts'
import { runSoak, type Progress } from './run.ts'

async function main(): Promise<number> {
  let command: Command | null
  try {
    command = readCommand(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`soak: ${error instanceof Error ? error.message : String(error)}\n\n${usage}`)
    return 2
  }
  if (command === null) {
    process.stdout.write(usage)
    return 0
  }
  if (process.platform !== 'linux') {
    process.stderr.write('soak: it counts sockets under /proc, which only Linux has\n')
    return 1
  }
  const interruption = new AbortController()
  let exitCodeOfSignal: number | undefined
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      exitCodeOfSignal = 128 + constants.signals[signal]
      interruption.abort()
    })
  }
  const result = await runSoak(command.soak, showProgress, interruption.signal)
  clearProgress()
  const verdicts = judgeSoak(result)
  const isColoured = process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === ''
  process.stdout.write(renderReport(result, verdicts, isColoured))
  if (command.jsonPath !== null)
    writeFileSync(command.jsonPath, `${JSON.stringify({ at: new Date().toISOString(), verdicts, ...result }, null, 2)}\n`)
  return exitCodeOfSignal ?? (verdicts.every(({ problems }) => problems.length === 0) ? 0 : 1)
}

/** On a terminal one line that changes; elsewhere a line for every minute, so that a log shows that it goes on. */
let lastLineAt = -Infinity
function showProgress(progress: Progress): void {
  if (process.stderr.isTTY) return void process.stderr.write(`\r\x1b[K${renderProgress(progress)}`)
  if (performance.now() - lastLineAt < 60_000) return
  lastLineAt = performance.now()
  process.stderr.write(`${renderProgress(progress)}\n`)
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K')
}

process.exitCode = await main()
