/**
 * The life of the running command: log and access log are opened, the proxy listens, a signal drains it, a second one ends it at once.
 * It decides about exit codes and words; the proxy itself knows nothing of signals, files or terminals.
 */
import { AccessLog } from '../observe/access-log.ts'
import { createProxy, type Proxy } from '../index.ts'
import { formatDuration } from '../core/units.ts'
import { ProxyError } from '../core/errors.ts'
import { timeoutTable } from '../core/options.ts'
import type { Settings } from './flags.ts'
import { explainSystemError } from './explain-system-error.ts'
import { createLogger, type CommandLogger } from './logger.ts'

type StopSignal = 'SIGTERM' | 'SIGINT'
const signalExitCodes = { SIGINT: 130, SIGTERM: 143 } as const satisfies Record<StopSignal, number>

/** Resolves with the exit code when the proxy has stopped. Throws an Error in words for people when it cannot run. */
export async function run(settings: Settings): Promise<number> {
  const logger = await createLogger(settings.logLevel, settings.logFormat)
  const accessLog = openAccessLog(settings.accessLog, logger)
  const proxy = createProxy({ ...settings.options, logger })
  if (accessLog !== undefined) proxy.on('exchange', (summary) => accessLog.write(summary))
  const faults = containFaults(logger)
  const stop = awaitStopSignal(proxy, logger)
  const onReopen = (): void => {
    void accessLog
      ?.reopen()
      .then((isNew) =>
        isNew ? logger.info({}, 'access log reopened') : logger.warn({}, 'access log: cannot be reopened, the old file stays in use'),
      )
  }
  // Also without an access log: the default action of this signal is to kill.
  process.on('SIGUSR2', onReopen)
  try {
    await listenOnAll(proxy, settings, logger)
    faults.isServing = true
    const signal = await stop
    const drainMs = settings.options.timeouts?.drain ?? timeoutTable.drain.default
    logger.info({ signal }, `stopping: running exchanges have ${formatDuration(drainMs)} to finish, a second signal ends them`)
    await proxy.close()
    logger.info({}, 'stopped')
  } catch (error) {
    proxy.destroy()
    throw error
  } finally {
    process.off('SIGUSR2', onReopen)
    await accessLog?.close()
    if (accessLog !== undefined && accessLog.dropped > 0)
      logger.warn({ dropped: accessLog.dropped }, 'lines of the access log were dropped')
    await logger.close()
  }
  return 0
}

function openAccessLog(destination: string | undefined, logger: CommandLogger): AccessLog | undefined {
  if (destination === undefined) return undefined
  try {
    const log: AccessLog = new AccessLog({
      destination,
      onError: (error) => logger.error({ error, destination, dropped: log.dropped }, 'access log: lines may be lost'),
    })
    return log
  } catch (error) {
    throw new Error(`cannot open the access log ${destination}: ${explainSystemError(error)}`, { cause: error })
  }
}

async function listenOnAll(proxy: Proxy, settings: Settings, logger: CommandLogger): Promise<void> {
  const { upstreams = [] } = settings.options
  const addresses: string[] = []
  for (const wanted of settings.listen) {
    try {
      const { address } = await proxy.listen(wanted)
      addresses.push(address)
      logger.info({ address, upstreams: upstreams.length === 0 ? 'embedded origin' : upstreams }, `listening on ${address}`)
    } catch (error) {
      if (!(error instanceof ProxyError) || error.code !== 'ERR_EPROXY_LISTEN') throw error
      throw new Error(`cannot listen on ${wanted}: ${explainSystemError(error.cause ?? error, wanted)}`, { cause: error })
    }
  }
  const url = addresses.map(toUrl).find((candidate) => candidate !== undefined)
  if (process.stderr.isTTY && url !== undefined) logger.info({}, `try: curl ${url}`)
}

/** What to type on this machine to reach the address; undefined for a socket file. */
function toUrl(address: string): string | undefined {
  const match = /^(.*):([0-9]+)$/.exec(address)
  if (match === null || address.startsWith('unix:')) return undefined
  const host = match[1] ?? ''
  return `http://${['', '0.0.0.0', '[::]', '127.0.0.1', '[::1]'].includes(host) ? 'localhost' : host}:${match[2]}/`
}

/** Resolves at the first signal; the second one ends the process without waiting for anybody. */
function awaitStopSignal(proxy: Proxy, logger: CommandLogger): Promise<StopSignal> {
  return new Promise((resolve) => {
    let isStopping = false
    const onSignal = (signal: NodeJS.Signals): void => {
      if (signal !== 'SIGINT' && signal !== 'SIGTERM') return
      if (!isStopping) {
        isStopping = true
        return resolve(signal)
      }
      logger.warn({ signal }, 'second signal: ending at once')
      proxy.destroy()
      // One turn of the loop lets the exchanges that were cut reach the access log, which is written at exit.
      setImmediate(() => process.exit(signalExitCodes[signal]))
    }
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
  })
}

/**
 * An exception of our own that no connection contained is logged and the process goes on serving: every connection but one is most
 * likely sound, and one bad request must not end them all. Before the proxy serves there is nothing to save, and the start fails.
 */
function containFaults(logger: CommandLogger): { isServing: boolean } {
  const state = { isServing: false }
  let count = 0
  let lastLoggedMs = -Infinity
  process.on('uncaughtException', (error, origin) => {
    count += 1
    // A fault that comes back on every turn of the loop must not fill the disk with stacks. The counter tells how many were left out.
    const now = performance.now()
    if (state.isServing && now - lastLoggedMs < 1_000) return
    lastLoggedMs = now
    logger.fatal({ err: error, origin, count }, state.isServing ? 'uncaught exception, serving goes on' : 'uncaught exception at start')
    if (!state.isServing) process.exit(1)
  })
  return state
}
