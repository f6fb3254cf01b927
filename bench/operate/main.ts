/**
 * The proof of the example: under steady load its servers are killed and come back, its file is changed for better and for worse, servers are
 * drained, workers retired, Redis hangs and dies; and every request is accounted for. Exit code 0 when none was lost that could have been
 * saved, 1 otherwise or when an event did not do what it should, 2 for a wrong command line, 128 + signal when interrupted.
 */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { messageOf, runCommand, runInPlace } from '../command.ts'
import { Progress } from '../e2e/progress.ts'
import { freePort } from '../e2e/start.ts'
import type { ProcessSet } from '../process-set.ts'
import { AdminClient } from './admin-client.ts'
import type { OperateEvent, Operation } from './events.ts'
import { LineSocket } from './line-socket.ts'
import { Load } from './load.ts'
import { judgeStretch, type Stretch } from './losses.ts'
import { readOptions, usage, type OperateOptions } from './options.ts'
import { renderReport, type EventReport, type RunReport } from './report.ts'
import { portOf, Stage } from './stage.ts'
import { Tunnel } from './tunnel.ts'

const connectionsMax = 48
/** Lines of the last requests are written within this. */
const linesMs = 2_000
/** What an event takes by itself, on average. */
const eventSeconds = 0.7

async function operate(options: OperateOptions, processes: ProcessSet, directory: string): Promise<RunReport> {
  const socketPath = join(directory, 'lines.sock')
  await using log = await LineSocket.listen(socketPath)
  const ports = await Promise.all(Array.from({ length: 6 }, () => freePort()))
  const [proxy, redis, admin, ...servers] = ports.map((port) => `127.0.0.1:${port}`)
  const places = { proxy: proxy!, redis: redis!, admin: admin!, servers, accessLog: `unix:${socketPath}` }
  const token = randomBytes(16).toString('hex')
  const stage = new Stage(processes, { places, directory, token })
  const events = options.events.filter(({ needsRedis }) => !needsRedis || stage.hasRedis)
  process.stdout.write(
    `three servers, ${stage.hasRedis ? 'a Redis' : 'no Redis (redis-server is not installed)'}, the proxy of bench/operate/example.yaml;\n` +
      `${options.requestsPerSecond} requests/s; this takes about ${Math.ceil(secondsOf(options, events) + 5)} s\n`,
  )
  try {
    return await disturb(options, processes, stage, log, new AdminClient(places.admin, token), events)
  } finally {
    if (options.logPath !== null) writeFileSync(options.logPath, stage.proxyLog)
  }
}

async function disturb(
  options: OperateOptions,
  processes: ProcessSet,
  stage: Stage,
  log: LineSocket,
  admin: AdminClient,
  events: readonly OperateEvent[],
): Promise<RunReport> {
  const { places } = stage
  await stage.start()
  const operation: Operation = { stage, admin, log }
  // To a server that is never killed: no other event may end it.
  const tunnel = await Tunnel.open(portOf(places.proxy), 'shop.example', ['server-1', 'server-2'])
  const load = new Load({ port: portOf(places.proxy), requestsPerSecond: options.requestsPerSecond, connectionsMax })
  const progress = new Progress(secondsOf(options, events))
  load.start()
  const marks: { readonly event: OperateEvent; readonly at: number; readonly note: string; readonly failure: string }[] = []
  await delay(options.settleSeconds * 1_000)
  for (const event of events) {
    if (processes.isEnding) throw new Error('interrupted')
    progress.begin(options.settleSeconds + eventSeconds)
    progress.show(event.name)
    const at = performance.now()
    let note = ''
    let failure = ''
    try {
      note = await event.act(operation)
    } catch (error) {
      failure = messageOf(error)
    }
    marks.push({ event, at, note, failure })
    await delay(options.settleSeconds * 1_000)
  }
  progress.clear()
  await load.stop()
  const survived = !tunnel.hasEnded
  await tunnel.close()
  await linesFor(load, log)
  // What was under way when an event began is what it hit.
  const stretchOf = (from: number, to = Infinity): Stretch =>
    judgeStretch(
      load.sent.filter(({ doneAt }) => doneAt >= from && doneAt < to),
      log.lines,
    )
  const stretches = marks.map(({ event, at, note, failure }, index): EventReport => ({
    name: event.name,
    note,
    failure,
    ...stretchOf(at, marks[index + 1]?.at),
  }))
  const warmUp = stretchOf(0, marks[0]?.at)
  const silent = load.sent.filter(({ check }) => !log.lines.has(check)).length
  const isTunnelGood = survived && tunnel.pings > 0 && tunnel.pongs === tunnel.pings
  return {
    at: new Date().toISOString(),
    node: process.version,
    requestsPerSecond: options.requestsPerSecond,
    events: stretches,
    warmUp,
    log: { lines: log.lines.size, missing: silent, repeated: log.repeated, broken: log.broken },
    tunnel: { server: tunnel.server, pings: tunnel.pings, pongs: tunnel.pongs, isGood: isTunnelGood },
    isGood:
      isTunnelGood &&
      silent + log.repeated + log.broken === 0 &&
      [warmUp, ...stretches].every(({ savableLost }) => savableLost === 0) &&
      stretches.every(({ failure }) => failure === ''),
  }
}

function secondsOf({ settleSeconds }: OperateOptions, events: readonly OperateEvent[]): number {
  return (events.length + 1) * (settleSeconds + eventSeconds)
}

/** Lines are gathered for a moment before they are written. */
async function linesFor(load: Load, log: LineSocket): Promise<void> {
  const pollMs = 50
  for (let waited = 0; waited < linesMs && load.sent.some(({ check }) => !log.lines.has(check)); waited += pollMs) await delay(pollMs)
}

process.exitCode = await runCommand(usage, readOptions, (options) =>
  runInPlace('operate', async ({ processes, directory }) => {
    const report = await operate(options, processes, directory)
    process.stdout.write(`${renderReport(report)}\n`)
    if (options.jsonPath !== null) writeFileSync(options.jsonPath, `${JSON.stringify(report, null, 2)}\n`)
    return report.isGood ? 0 : 1
  }),
)
