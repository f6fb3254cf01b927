/** What a soak must show: one row for each assertion, with its bound, what was measured, and what is wrong. Pure. */
import { limitTable } from '../../lib/index.ts'
import { misdeedTable } from './misdeeds.ts'
import { narrowConnections, proxyOptions } from './proxy-options.ts'
import { raidTable } from './raids.ts'
import type { Phase, SoakResult } from './run.ts'

export interface Check {
  readonly name: string
  /** What holds when it passes. */
  readonly claim: string
  /** The figures it goes by. */
  measure(result: SoakResult): string
  /** What is wrong, nothing when all is well. */
  judge(result: SoakResult): readonly string[]
}

export interface Verdict {
  readonly name: string
  readonly claim: string
  readonly measured: string
  readonly problems: readonly string[]
}

const mib = 1_048_576
/** After forced collection. What one half leaves in caches and compiled code the next one finds there. */
const heapGrowthMax = 4 * mib
const externalGrowthMax = 4 * mib
/** The allocator of the C library gives back what it likes. */
const residentGrowthMax = 48 * mib
/** Above what the process held before any client but good ones had come. */
const heapAboveBaselineMax = 24 * mib
const residentAboveBaselineMax = 256 * mib
/** The p99 of good clients in company, by that of others at the same time without the proxy: a machine that is busy otherwise slows both. */
const latencyRatioMax = 8
const latencyFloorMs = 1_000
/** In less time chance may leave something out. */
const coverageMsMin = 60_000

export function judgeSoak(result: SoakResult): readonly Verdict[] {
  return checkTable.map((check) => {
    const { name, claim } = check
    try {
      return { name, claim, measured: check.measure(result), problems: check.judge(result) }
    } catch (error) {
      return { name, claim, measured: '', problems: [`cannot be judged: ${error instanceof Error ? error.message : String(error)}`] }
    }
  })
}

export function phaseOf({ phases }: SoakResult, name: Phase['name']): Phase | undefined {
  return phases.find((phase) => phase.name === name)
}

function unless(holds: boolean, problem: string): readonly string[] {
  return holds ? [] : [problem]
}

function showMib(bytes: number): string {
  return (bytes / mib).toFixed(1)
}

/** The growth of one figure from the first half to the second, and above the quiet phase. */
function judgeGrowth(
  result: SoakResult,
  name: string,
  figure: (phase: Phase) => number,
  max: number,
  aboveBaselineMax: number,
): readonly string[] {
  const [quiet, first, second] = result.phases
  if (quiet === undefined || first === undefined || second === undefined) return []
  const growth = figure(second) - figure(first)
  const above = figure(second) - figure(quiet)
  return [
    ...unless(growth <= max, `${name} grew by ${showMib(growth)} MiB from the first half to the second; allowed are ${showMib(max)}`),
    ...unless(
      above <= aboveBaselineMax,
      `${name} is ${showMib(above)} MiB above the quiet phase; allowed are ${showMib(aboveBaselineMax)}`,
    ),
  ]
}

// oxfmt-ignore
export const checkTable: readonly Check[] = [
  {
    name: 'process',
    claim: 'the process under test ran from start to end, and ended by itself when its proxies were closed',
    measure: ({ exit, lost }) => lost === '' ? `exit code ${String(exit?.code ?? 'none')}` : lost.split('\n')[0]!,
    judge: ({ exit, lost }) => {
      if (lost !== '') return [lost]
      if (exit === null) return ['something kept the process alive after its proxies were closed']
      return unless(exit.code === 0, `it ended with ${exit.signal ?? `exit code ${String(exit.code)}`}`)
    },
  },
  {
    name: 'at rest',
    claim: 'when the clients have left, no connection, parser slot, deadline or pooled connection stays',
    measure: ({ phases }) => `after ${phases.map(({ rest }) => (rest.msToQuiet / 1_000).toFixed(1)).join(', ')} s`,
    judge: ({ phases }) => phases.flatMap(({ name, rest }) => rest.isQuiet ? [] : Object.entries(rest.standing.proxies).flatMap(([door, stats]) => {
      const { connections, parserSlots, deadlines } = stats
      const pools = Object.values(stats.upstreams).reduce((sum, { idle, busy, connecting, waiting }) => sum + idle + busy + connecting + waiting, 0)
      return unless(connections + parserSlots + deadlines + pools === 0, `after the ${name}, ${door}: ${connections} connections, ${parserSlots} parser slots, ${deadlines} deadlines, ${pools} places in pools are left`)
    })),
  },
  {
    name: 'sockets',
    claim: 'as many sockets are open after each phase as before there was any client, by the count of the kernel',
    measure: ({ phases, peak, socketsBefore }) => `${[socketsBefore, ...phases.map(({ rest }) => rest.sockets)].join(', ')} (peak ${peak.sockets})`,
    judge: ({ phases, socketsBefore }) => phases.flatMap(({ name, rest }) => unless(rest.sockets === socketsBefore, `${rest.sockets} sockets after the ${name}, ${socketsBefore} before`)),
  },
  {
    name: 'memory',
    claim: 'after forced collection the second half has left no more than the first, and neither much more than the quiet phase',
    measure: ({ phases }) => `heap ${phases.map(({ rest }) => showMib(rest.standing.heapBytes)).join(', ')}; external ${phases.map(({ rest }) => showMib(rest.standing.externalBytes)).join(', ')}; resident ${phases.map(({ rest }) => showMib(rest.standing.residentBytes)).join(', ')} MiB`,
    judge: (result) => [
      ...judgeGrowth(result, 'the heap', ({ rest }) => rest.standing.heapBytes, heapGrowthMax, heapAboveBaselineMax),
      ...judgeGrowth(result, 'external memory', ({ rest }) => rest.standing.externalBytes, externalGrowthMax, heapAboveBaselineMax),
      ...judgeGrowth(result, 'resident memory', ({ rest }) => rest.standing.residentBytes, residentGrowthMax, residentAboveBaselineMax),
    ],
  },
  {
    name: 'good clients',
    claim: 'every answer was its own, complete, and the same byte for byte; no request was refused, cut or smuggled',
    measure: ({ phases }) => `${phases.reduce((sum, { good }) => sum + good.exchanges, 0)} exchanges, ${phases.reduce((sum, { good }) => sum + good.tunnels, 0)} tunnels`,
    judge: ({ phases, faults }) => [
      ...unless(phases.every(({ good }) => good.exchanges > 0), 'a phase passed without a single good exchange'),
      ...unless(faults.count === 0, `${faults.count} faults`),
      ...faults.samples,
    ],
  },
  {
    name: 'latency',
    claim: `the p99 of small exchanges of good clients is below ${latencyFloorMs} ms, or ${latencyRatioMax} times that of clients without a proxy`,
    measure: (result) => {
      const [quiet, ...halves] = result.phases
      if (quiet === undefined) return 'none'
      const ratios = halves.map(({ good }) => (good.latency.p99Ms / quiet.good.latency.p99Ms).toFixed(1))
      const p99s = result.phases.map(({ good }) => good.latency.p99Ms.toFixed(1)).join(', ')
      return `p99 ${p99s} ms${ratios.length === 0 ? '' : `: ${ratios.join(' and ')} times the quiet phase`}`
    },
    judge: ({ phases }) => phases.slice(1).flatMap(({ name, good, controlLatency }) => {
      const max = Math.max(latencyFloorMs, latencyRatioMax * controlLatency.p99Ms)
      return unless(good.latency.p99Ms <= max, `p99 in the ${name}: ${good.latency.p99Ms.toFixed(1)} ms, allowed are ${max.toFixed(0)}`)
    }),
  },
  {
    name: 'rough side',
    claim: 'what reached rough origins was well formed and came once; what visitors got was theirs, and never looked whole when it was not; nothing that breaks a rule was served',
    measure: ({ raids: { raids }, misdeeds: { misdeeds } }) => `${Object.values(raids).reduce((sum, { runs }) => sum + runs, 0)} raids, ${Object.values(misdeeds).reduce((sum, count) => sum + count, 0)} requests to rough origins`,
    judge: ({ raids, misdeeds }) => [
      ...unless(raids.faults.count === 0, `${raids.faults.count} faults seen by raiders and visitors`),
      ...raids.faults.samples,
      ...unless(misdeeds.faults.count === 0, `${misdeeds.faults.count} faults seen by rough origins`),
      ...misdeeds.faults.samples,
    ],
  },
  {
    name: 'faults of its own',
    claim: 'no contradiction, no uncaught exception, no line of level error in the log',
    measure: ({ phases }) => Object.entries(phases.at(-1)?.rest.standing.logLines ?? {}).map(([line, count]) => `${line} ×${count}`).join('; ') || 'an empty log',
    judge: ({ phases }) => {
      const standing = phases.at(-1)?.rest.standing
      if (standing === undefined) return []
      const { proxies, exchanges, uncaught, errorLines } = standing
      const contradictions = Object.values(proxies).reduce((sum, { faultsTotal }) => sum + faultsTotal, 0)
      const internal = exchanges['ERR_EPROXY_INTERNAL'] ?? 0
      const told = Object.values(exchanges).reduce((sum, count) => sum + count, 0)
      const ended = Object.values(proxies).reduce((sum, { exchangesTotal }) => sum + exchangesTotal, 0)
      return [
        ...unless(contradictions === 0, `${contradictions} contradictions`),
        ...unless(internal === 0, `${internal} exchanges ended with ERR_EPROXY_INTERNAL`),
        ...unless(uncaught.count === 0, `${uncaught.count} uncaught exceptions`),
        ...uncaught.samples,
        ...unless(errorLines.count === 0, `${errorLines.count} lines of level error`),
        ...errorLines.samples,
        ...unless(told === ended, `${ended} exchanges ended and ${told} were told of`),
      ]
    },
  },
  {
    name: 'coverage',
    claim: 'in a minute or more every raid and every misdeed happens',
    measure: ({ raids: { raids }, misdeeds: { misdeeds } }) => `${Object.keys(raids).length} of ${raidTable.length} raids, ${misdeedTable.filter(({ name }) => name in misdeeds).length} of ${misdeedTable.length} misdeeds`,
    judge: ({ raids: { raids }, misdeeds: { misdeeds }, options, endedEarly }) => options.timeMs < coverageMsMin || endedEarly !== '' ? [] : [
      ...raidTable.flatMap(({ name }) => unless(name in raids, `the raid "${name}" did not happen`)),
      ...misdeedTable.flatMap(({ name }) => unless(name in misdeeds, `the misdeed "${name}" did not happen`)),
    ],
  },
  {
    name: 'limits',
    claim: 'neither clients nor pools ever had more connections than their limits allow',
    measure: ({ phases, peak }) => `narrow door ${phases.at(-1)?.rest.standing.narrowPeak ?? 0} of ${narrowConnections}; pools ${peak.poolFront} of ${String(proxyOptions.front.pool?.connections)} and ${peak.poolRough} of ${String(proxyOptions.rough.pool?.connections)}`,
    judge: ({ phases, peak }) => [
      ...unless((phases.at(-1)?.rest.standing.narrowPeak ?? 0) <= narrowConnections, 'more clients than the narrow door allows'),
      ...unless(peak.connections <= 3 * limitTable.connections.default, 'more clients than limits.connections'),
      ...unless(peak.poolFront <= proxyOptions.front.pool!.connections!, 'the pool of the front door is too large'),
      ...unless(peak.poolRough <= proxyOptions.rough.pool!.connections!, 'a pool of the rough door is too large'),
    ],
  },
]
