/**
 * Memory bench: does eproxy hold a stream in memory when its receiver is slower than its sender? A large POST to an origin that
 * stalls, and a large GET by a client that stalls, each through a fresh proxy process whose resident memory is read every 100 ms.
 * Other proxies of the end-to-end bench can be measured beside it. Exit code 0; 1 when a transfer failed, changed a byte or grew
 * beyond --growth-max-mib; 2 for a wrong command line; 128 + signal when interrupted.
 */
import { writeFileSync } from 'node:fs'
import { messageOf, parseFlags, readWhole, runCommand, runInPlace, UsageError, type RunPlace } from '../command.ts'
import { peerTable, type Peer } from '../e2e/peers.ts'
import { renderTable } from '../e2e/table.ts'
import { growthBytes, measurePassage, mib, warmupBytes, type Measured } from './measure.ts'
import type { Direction } from './transfer.ts'

interface MemoryOptions {
  readonly bytes: number
  readonly stallMs: number
  readonly stallEveryBytes: number
  readonly growthBytesMax: number | null
  readonly peers: readonly Peer[]
  readonly jsonPath: string | null
}

const directions = ['upload', 'download'] as const satisfies readonly Direction[]

const usage = `Usage: npm run bench:memory -- [options]

  --mib N              size of each transfer in MiB, 1 to 65536 (default 1024)
  --stall-ms N         how long the receiver stops reading, 0 to 10000 (default 50)
  --stall-every-mib N  after how many MiB it stops again, 1 to 1024 (default 8)
  --growth-max-mib N   fail when resident memory grows by more (default: only print it)
  --peers A,B          proxies to measure, some of: ${peerTable.map((peer) => peer.name).join(', ')} (default eproxy)
  --json FILE          writes the figures to FILE
  --help               this text
`

async function runBench(options: MemoryOptions, { processes, directory }: RunPlace): Promise<number> {
  const present: Peer[] = []
  for (const peer of options.peers) {
    const presence = peer.find()
    print(presence.kind === 'present' ? `${peer.name}: ${presence.version}` : `${peer.name}: SKIPPED, ${presence.why}`)
    if (presence.kind === 'present') present.push(peer)
  }
  const { bytes, stallMs, stallEveryBytes } = options
  print(
    `${bytes / mib} MiB each way, the receiver stalls ${stallMs} ms every ${stallEveryBytes / mib} MiB; warm-up ${warmupBytes / mib} MiB`,
  )
  const stallSeconds = Math.round((((bytes + warmupBytes) / stallEveryBytes) * stallMs * directions.length * present.length) / 1_000)
  print(`this takes about ${stallSeconds} s of stalls and the time of the transfers`)

  const measured: Measured[] = []
  const problems: string[] = present.length === 0 ? ['there is no proxy to measure'] : []
  for (const peer of present) {
    for (const direction of directions) {
      showProgress(`${peer.name}: ${direction}`)
      try {
        measured.push(
          await measurePassage(peer, { direction, bytes, stalls: { everyBytes: stallEveryBytes, stallMs } }, processes, directory),
        )
      } catch (error) {
        if (processes.isEnding) throw error
        problems.push(`${peer.name}, ${direction}: ${messageOf(error)}`)
      } finally {
        clearProgress()
      }
    }
  }
  for (const entry of measured) {
    if (options.growthBytesMax !== null && growthBytes(entry) > options.growthBytesMax) {
      problems.push(
        `${entry.proxy}, ${entry.direction}: grew by ${showMib(growthBytes(entry))} MiB, allowed are ${showMib(options.growthBytesMax)}`,
      )
    }
  }
  if (measured.length > 0) print(`\n${renderTable([headings, ...measured.map(renderMeasured)])}`)
  if (options.jsonPath !== null) {
    const entries = measured.map((entry) => ({ ...entry, growthBytes: growthBytes(entry) }))
    writeFileSync(
      options.jsonPath,
      `${JSON.stringify({ at: new Date().toISOString(), bytes, stallMs, stallEveryBytes, measured: entries, problems }, null, 2)}\n`,
    )
  }
  print(
    problems.length === 0
      ? '\nall bytes and checksums are right'
      : `\nthe run FAILED:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
  )
  return problems.length === 0 ? 0 : 1
}

const headings = [
  '',
  'growth MiB',
  'RSS at start',
  'after warm-up',
  'peak',
  'at end',
  'in flight max MiB',
  'MiB/s',
  'seconds',
  'samples',
  'SHA-256',
]

function renderMeasured(entry: Measured): readonly string[] {
  const { bytes, milliseconds, inFlightBytesMax, checksum } = entry.transferred
  return [
    `${entry.proxy} ${entry.direction}`,
    showMib(growthBytes(entry)),
    showMib(entry.residentAtStartBytes),
    showMib(entry.residentAfterWarmupBytes),
    showMib(entry.residentPeakBytes),
    showMib(entry.residentAtEndBytes),
    showMib(inFlightBytesMax),
    (bytes / mib / (milliseconds / 1_000)).toFixed(0),
    (milliseconds / 1_000).toFixed(1),
    String(entry.samples),
    `${checksum.slice(0, 8)} ok`,
  ]
}

/** Null asks for the help text. Throws UsageError. */
function readOptions(args: readonly string[]): MemoryOptions | null {
  const { values } = parseFlags({
    args: [...args],
    options: {
      mib: { type: 'string' },
      'stall-ms': { type: 'string' },
      'stall-every-mib': { type: 'string' },
      'growth-max-mib': { type: 'string' },
      peers: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean' },
    },
  })
  if (values.help === true) return null
  const names = values.peers?.split(',') ?? ['eproxy']
  for (const name of names) {
    if (!peerTable.some((peer) => peer.name === name)) throw new UsageError(`--peers does not know ${JSON.stringify(name)}`)
  }
  return {
    bytes: readWhole('--mib', values.mib, 1_024, 1, 65_536) * mib,
    stallMs: readWhole('--stall-ms', values['stall-ms'], 50, 0, 10_000),
    stallEveryBytes: readWhole('--stall-every-mib', values['stall-every-mib'], 8, 1, 1_024) * mib,
    growthBytesMax:
      values['growth-max-mib'] === undefined ? null : readWhole('--growth-max-mib', values['growth-max-mib'], 0, 0, 65_536) * mib,
    peers: peerTable.filter((peer) => names.includes(peer.name)),
    jsonPath: values.json ?? null,
  }
}

function showMib(bytes: number): string {
  return (bytes / mib).toFixed(1)
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

process.exitCode = await runCommand(usage, readOptions, (options) => runInPlace('memory', (place) => runBench(options, place)))
