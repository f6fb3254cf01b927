/**
 * The command of the conformance suite. Without options it starts eproxy from the build folder and runs every case against it;
 * with --target it runs them against a proxy that is already there. Exit status: 0 all passed, 1 some failed, 2 nothing could
 * be judged (usage, or no proxy to talk to).
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadCases, type ConformanceCase } from './case-format.ts'
import type { Endpoint } from './client.ts'
import { RecordingOrigin } from './origin.ts'
import { ProxyUnderTest } from './proxy-under-test.ts'
import { countByGroup, describeResult, describeGroups } from './report.ts'
import { ConformanceRunner, type CaseResult } from './runner.ts'

const casesFolder = fileURLToPath(new URL('../../../test/conformance/cases/', import.meta.url))
const runMsMax = 150_000

const usage = `Usage: node build/test/conformance/main.js [options] [-- options of eproxy]

  --target HOST:PORT   judge this running proxy (loopback only) instead of a fresh eproxy
  --origin-port N      with --target: the port to which that proxy forwards
  --only REGEX         only cases whose id matches
  --show ID            only this case, with everything that was seen
  --json FILE          write all results to FILE
  --concurrency N      cases side by side (8)
  --timeout MS         patience for one exchange (1200)
  --help               this text`

interface Settings {
  target: Endpoint | null
  originPort: number
  only: RegExp | null
  show: string | null
  json: string | null
  concurrency: number
  timeoutMs: number
  proxyArguments: string[]
}

class UsageError extends Error {}

function readSettings(argv: string[]): Settings | null {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      target: { type: 'string' },
      'origin-port': { type: 'string' },
      only: { type: 'string' },
      show: { type: 'string' },
      json: { type: 'string' },
      concurrency: { type: 'string', default: '8' },
      timeout: { type: 'string', default: '1200' },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return null
  if ((values.target === undefined) !== (values['origin-port'] === undefined))
    throw new UsageError('--target and --origin-port go together')
  return {
    target: values.target === undefined ? null : readEndpoint(values.target),
    originPort: readNumber('--origin-port', values['origin-port'] ?? '0', 0, 65_535),
    only: values.only === undefined ? null : new RegExp(values.only),
    show: values.show ?? null,
    json: values.json ?? null,
    concurrency: readNumber('--concurrency', values.concurrency, 1, 64),
    timeoutMs: readNumber('--timeout', values.timeout, 50, 60_000),
    proxyArguments: positionals,
  }
}

/** Loopback only: the suite sends hostile bytes. */
function readEndpoint(text: string): Endpoint {
  const match = /^(?<host>127\.[0-9.]+|localhost|\[::1\]):(?<port>[0-9]{1,5})$/.exec(text)?.groups
  if (!match?.['host'] || !match['port']) throw new UsageError(`--target ${text}: expected a loopback host:port`)
  return { host: match['host'].replace(/^\[|\]$/g, ''), port: readNumber('--target', match['port'], 1, 65_535) }
}

function readNumber(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < min || value > max) throw new UsageError(`${name} ${text}: expected ${min} to ${max}`)
  return value
}

function selectCases({ only, show }: Settings): ConformanceCase[] {
  const cases = loadCases(casesFolder).filter(({ id }) => (show === null ? only === null || only.test(id) : id === show))
  if (cases.length === 0) throw new UsageError('no case is selected')
  return cases
}

async function main(argv: string[]): Promise<number> {
  const settings = readSettings(argv)
  if (settings === null) {
    console.log(usage)
    return 0
  }
  const cases = selectCases(settings)
  const origin = new RecordingOrigin()
  const originPort = await origin.listen(settings.originPort)
  let child: ProxyUnderTest | null = null
  // Whoever stops the suite must not leave a proxy behind.
  const stopEarly = async (): Promise<void> => {
    await child?.stop()
    process.exit(2)
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stopEarly())
  try {
    if (settings.target === null) child = await ProxyUnderTest.start(originPort, settings.proxyArguments)
    const proxy = settings.target ?? child?.endpoint
    if (!proxy) throw new Error('no proxy to talk to')
    const { concurrency, timeoutMs } = settings
    const runner = new ConformanceRunner({ proxy, origin, originPort, concurrency, timeoutMs, runMsMax })
    const fault = await runner.waitUntilServing(4)
    if (fault !== null) throw new Error(`${proxy.host}:${proxy.port} does not answer a plain request: ${fault}`)
    const startedAt = performance.now()
    const results = await runner.runAll(cases)
    return report(settings, cases, results, {
      seconds: Number(((performance.now() - startedAt) / 1000).toFixed(1)),
      strayMessages: origin.strayCount,
      crashes: child?.crashCount ?? 0,
      errorTail: child?.errorTail ?? '',
    })
  } finally {
    await child?.stop()
    await origin.close()
  }
}

interface RunFacts {
  seconds: number
  strayMessages: number
  crashes: number
  errorTail: string
}

function report(settings: Settings, cases: readonly ConformanceCase[], results: readonly CaseResult[], facts: RunFacts): number {
  const failed = results.filter((result) => !result.passed)
  const passedCount = results.length - failed.length
  const groups = countByGroup(results)
  cases.forEach((one, index) => {
    const result = results[index]
    if (result && (!result.passed || settings.show !== null)) console.log(`${describeResult(one, result)}\n`)
  })
  console.log(describeGroups(groups))
  const mild = failed.filter((result) => result.isMild).length
  console.log(`${facts.seconds} s; ${mild} of the failures are safe refusals with another status, or without the close`)
  if (facts.crashes > 0) console.log(`eproxy crashed ${facts.crashes} times:\n${facts.errorTail}`)
  console.log(`${passedCount} passed, ${failed.length} failed`)
  if (settings.json !== null) {
    const summary = { passed: passedCount, failed: failed.length, mild, ...facts, groups: Object.fromEntries(groups), results }
    writeFileSync(settings.json, `${JSON.stringify(summary, null, 1)}\n`)
  }
  return failed.length === 0 && facts.crashes === 0 ? 0 : 1
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const isUsage =
    error instanceof UsageError || (error instanceof Error && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS'))
  console.error(error instanceof Error ? error.message : error)
  if (isUsage) console.error(usage)
  process.exitCode = 2
}
