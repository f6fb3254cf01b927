/**
 * The process under test: three proxies as a user of the library would run them, and nothing else that lasts. It tells over its message channel
 * how it stands, and does nothing that the proxies need: it ends when they have closed and let go of everything.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createProxy, type Logger, type Proxy } from '../../lib/index.ts'
import { obey } from './child-program.ts'
import type { Door } from './crowd-messages.ts'
import { plantDefect } from './defects.ts'
import { FaultList } from './fault-list.ts'
import { narrowConnections, proxyOptions } from './proxy-options.ts'
import type { Standing, SubjectOrders } from './subject-messages.ts'

const exchanges = new Map<string, number>()
const rules = new Map<string, number>()
const logLines = new Map<string, number>()
const errorLines = new FaultList()
const uncaught = new FaultList()
const proxies = new Map<Door, Proxy>()
const loopDelay = monitorEventLoopDelay({ resolution: 10 })
let narrowPeak = 0

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const
const logger = Object.fromEntries(
  levels.map((level) => [
    level,
    (fields: object, message: string) => {
      count(logLines, `${level}: ${message}`)
      if (level !== 'error' && level !== 'fatal') return
      const { err } = fields as { readonly err?: unknown }
      errorLines.add(`${message}: ${err instanceof Error ? (err.stack ?? err.message) : JSON.stringify(fields)}`)
    },
  ]),
) as unknown as Logger

process.on('uncaughtException', (error) => uncaught.add(error.stack ?? error.message))

async function listen(door: Door, upstreams: readonly string[]): Promise<number> {
  const proxy = createProxy({ ...proxyOptions[door], upstreams, logger })
  proxies.set(door, proxy)
  // Without a listener a fault is only logged: the log is what is looked at.
  proxy.on('exchange', ({ error, rule }) => {
    count(exchanges, error === '' ? 'well' : error)
    if (rule !== '') count(rules, rule)
  })
  if (door === 'narrow') proxy.on('connection', () => (narrowPeak = Math.max(narrowPeak, proxy.stats.connections)))
  const { address } = await proxy.listen('127.0.0.1:0')
  return Number(address.slice(address.lastIndexOf(':') + 1))
}

/** More than once: what a finaliser lets go of is free only after the next collection. */
async function collectGarbage(): Promise<void> {
  for (let round = 0; round < 4; round++) {
    globalThis.gc!()
    await nextTurn()
  }
}

function stand(): Standing {
  const { heapUsed, external, rss } = process.memoryUsage()
  return {
    proxies: Object.fromEntries([...proxies].map(([door, proxy]) => [door, proxy.stats])) as Standing['proxies'],
    exchanges: Object.fromEntries(exchanges),
    rules: Object.fromEntries(rules),
    logLines: Object.fromEntries(logLines),
    errorLines: { count: errorLines.count, samples: errorLines.samples },
    uncaught: { count: uncaught.count, samples: uncaught.samples },
    narrowPeak,
    heapBytes: heapUsed,
    externalBytes: external,
    residentBytes: rss,
    loopDelayMs: loopDelay.percentile(99) / 1e6,
  }
}

loopDelay.enable()
const channel = obey<SubjectOrders>({
  open: async ({ goodUpstreams, roughUpstreams }) => {
    const doors = {
      front: await listen('front', goodUpstreams),
      rough: await listen('rough', roughUpstreams),
      narrow: await listen('narrow', goodUpstreams),
      narrowConnections,
    }
    return doors
  },
  plant: ({ defect }) => plantDefect(defect),
  standing: async ({ isSettled }) => {
    if (!isSettled) return stand()
    // The delay is that of the time before, not of the collection.
    const { loopDelayMs } = stand()
    loopDelay.reset()
    await collectGarbage()
    return { ...stand(), loopDelayMs }
  },
  close: async () => {
    await Promise.all([...proxies.values()].map((proxy) => proxy.close({ graceMs: 1_000 })))
    // The reply goes first.
    setImmediate(channel.leave)
  },
})
