/**
 * The conformance suite against other proxies, one after the other, each as installed on this machine. A full run writes the tables of
 * README.md and of bench/conformance/README.md: they are data of the day on which somebody ran this, and no gate compares them.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadCases, type ConformanceCase } from '../../lib/conformance/case-format.ts'
import { runSuite, type SuiteOutcome } from '../../lib/conformance/run-suite.ts'
import { parseFlags, runCommand, runInPlace, UsageError, type RunPlace } from '../command.ts'
import type { ProcessSet } from '../process-set.ts'
import { renderGroups, renderSummary, replaceRegion, type PeerRow } from './markdown.ts'
import { conformancePeers, type ConformancePeer } from './peer-table.ts'
import { freePort, PeerProcess } from './peer-process.ts'

const usage = `Usage: npm run conformance:peers -- [--peers NAME,NAME] [--json FOLDER]

Runs the conformance suite against every proxy of the table that is installed here, and eproxy, and writes the tables of README.md and
bench/conformance/README.md. With --peers only these are run and nothing is written.
`
const suiteOptions = { concurrency: 8, timeoutMs: 1_200 } as const
const ownFlags = ['--forwarded', 'x-forwarded', '--reuse-after-body', 'anyone', '--desync-quarantine-after', '0']
const cliPath = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url))
const pages = {
  summary: new URL('../../../README.md', import.meta.url),
  groups: new URL('../../../bench/conformance/README.md', import.meta.url),
}

interface PeersOptions {
  /** Undefined: all that are installed. */
  readonly wanted: readonly string[] | undefined
  readonly jsonFolder: string | undefined
}

/** Null asks for the help text. Throws UsageError. */
function readOptions(args: readonly string[]): PeersOptions | null {
  const { values } = parseFlags({
    args: [...args],
    options: { peers: { type: 'string' }, json: { type: 'string' }, help: { type: 'boolean' } },
  })
  if (values.help === true) return null
  const wanted = values.peers?.split(',')
  const unknown = wanted?.find((name) => !conformancePeers.some((peer) => peer.name === name))
  if (unknown !== undefined) throw new UsageError(`no peer ${unknown}; there are ${conformancePeers.map(({ name }) => name).join(', ')}`)
  return { wanted, jsonFolder: values.json }
}

async function main({ wanted, jsonFolder }: PeersOptions, { processes, signal }: RunPlace): Promise<number> {
  const cases = loadCases()
  const rows: PeerRow[] = []
  const missing: string[] = []
  if (wanted === undefined) {
    const own = await runSuite({ kind: 'own', command: [process.execPath, cliPath], flags: ownFlags }, cases, {
      ...suiteOptions,
      signal,
    })
    rows.push(toRow('eproxy', ownVersion(), cases, own, 0))
    report(rows.at(-1)!, own, jsonFolder)
  }
  for (const peer of conformancePeers) {
    if (wanted !== undefined && !wanted.includes(peer.name)) continue
    const version = peer.findVersion()
    if (version === undefined) {
      missing.push(peer.name)
      say(`${peer.name}: skipped, ${peer.needs} is not installed`)
      continue
    }
    const { outcome, restarts } = await runPeer(peer, cases, processes, signal)
    rows.push(toRow(peer.name, version, cases, outcome, restarts))
    report(rows.at(-1)!, outcome, jsonFolder)
  }
  if (wanted !== undefined) return 0
  if (missing.length > 0) return say(`nothing is written: ${missing.join(', ')} would be missing in the tables`) + 1
  // By name: it is a comparison, not a ranking.
  rows.sort((a, b) => plainName(a).localeCompare(plainName(b)))
  const date = new Date().toISOString().slice(0, 10)
  write(pages.summary, renderSummary(rows, date))
  write(pages.groups, renderGroups(rows, date))
  return 0
}

async function runPeer(
  peer: ConformancePeer,
  cases: readonly ConformanceCase[],
  processes: ProcessSet,
  signal: AbortSignal,
): Promise<{ outcome: SuiteOutcome; restarts: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'eproxy-peer-'))
  const place = { port: await freePort(), originPort: await freePort(), folder }
  let started: PeerProcess | undefined
  try {
    started = await PeerProcess.start(processes, peer.name, place.port, peer.prepare(place))
    const endpoint = { host: '127.0.0.1', port: place.port }
    const subject = { kind: 'proxy', endpoint, originHost: '127.0.0.1', originPort: place.originPort } as const
    return { outcome: await runSuite(subject, cases, { ...suiteOptions, signal }), restarts: started.restarts }
  } finally {
    await started?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

function toRow(name: string, version: string, cases: readonly ConformanceCase[], outcome: SuiteOutcome, restarts: number): PeerRow {
  const directions = new Map(cases.map(({ id, direction }) => [id, direction]))
  const { results, seconds } = outcome
  const count = (direction: string): readonly [number, number] => {
    const own = results.filter(({ id }) => directions.get(id) === direction)
    return [own.filter(({ passed }) => passed).length, own.length]
  }
  const groups = new Map<string, readonly [number, number]>()
  for (const { group, passed } of results) {
    const [good, all] = groups.get(group) ?? [0, 0]
    groups.set(group, [good + (passed ? 1 : 0), all + 1])
  }
  return {
    name,
    version,
    passed: results.filter(({ passed }) => passed).length,
    judged: results.length,
    requests: count('request'),
    responses: count('response'),
    mild: results.filter(({ passed, isMild }) => !passed && isMild).length,
    restarts,
    seconds,
    groups,
  }
}

function report(row: PeerRow, outcome: SuiteOutcome, folder: string | undefined): void {
  const crashes = row.restarts === 0 ? '' : `, restarted ${row.restarts} times`
  say(`${row.name} ${row.version}: ${row.passed} of ${row.judged} in ${row.seconds} s${crashes}`)
  if (folder !== undefined)
    writeFileSync(join(folder, `${row.name.replace(/\W+/g, '-')}.json`), `${JSON.stringify(outcome.results, null, 1)}\n`)
}

function write(page: URL, region: string): void {
  writeFileSync(page, replaceRegion(readFileSync(page, 'utf8'), region))
}

function plainName({ name }: PeerRow): string {
  return name.replace('@', '').toLowerCase()
}

function ownVersion(): string {
  return (JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }).version
}

function say(text: string): 0 {
  console.log(text)
  return 0
}

process.exitCode = await runCommand(usage, readOptions, (options) => runInPlace('conformance', (place) => main(options, place)))
