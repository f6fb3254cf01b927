/**
 * The life of the running command: the log is opened, the service starts, a signal drains it, a second one ends it at once. It decides
 * about exit codes and words; whether one process serves or several is the service's business.
 */
import type { AdminControls } from '../admin/subject.ts'
import { formatDuration } from '../core/units.ts'
import { timeoutTable } from '../core/options.ts'
import { resolveWorkers } from '../workers/proxy-group.ts'
import { CommandAdmin } from './command-admin.ts'
import type { Configured } from './configured.ts'
import type { ConfigRequest, Settings } from './flags.ts'
import { containFaults } from './contain-faults.ts'
import { hasLostTerminal } from './terminal.ts'
import { createLogger, isLogLevel, type CommandLogger } from './logger.ts'
import type { Reloader } from './reloader.ts'
import type { Reconfigured, Service } from './service.ts'
import { SettingsInForce } from './settings-in-force.ts'

type StopSignal = 'SIGTERM' | 'SIGINT'
const signalExitCodes = { SIGINT: 130, SIGTERM: 143 } as const satisfies Record<StopSignal, number>

/** Resolves with the exit code when the service has stopped. Throws an Error in words for people when it cannot run. */
export async function run(given: Settings, config: ConfigRequest | undefined, warnings: readonly string[]): Promise<number> {
  const configured = config === undefined ? configureByFlags(given) : await configure(config)
  const { settings } = configured
  const logger = await createLogger(settings.logLevel, settings.logFormat)
  const faults = containFaults(logger)
  const service = await createService(settings, logger)
  for (const warning of [...warnings, ...configured.warnings]) logger.warn({}, warning)
  const inForce = new SettingsInForce(configured, service, logger)
  const reloader = await createReloader(config, configured.text, (next) => inForce.take(next, admin), logger)
  const admin = new CommandAdmin(service, makeControls(inForce, service, reloader, logger), logger)
  const stop = awaitStopSignal(service, () => (reloader === undefined ? service.reload() : reloader.reloadQuietly('SIGHUP')), logger)
  try {
    const addresses = await service.listen()
    announce(addresses, settings, service.workers, logger)
    faults.isServing = true
    const opened = await admin.prepare(settings.admin)
    opened.commit()
    reloader?.watch()
    const signal = await Promise.race([stop, service.failed])
    reloader?.[Symbol.dispose]()
    admin.beginDrain()
    const drainMs = inForce.settings.options.timeouts?.drain ?? timeoutTable.drain.default
    logger.info({ signal }, `stopping: running exchanges have ${formatDuration(drainMs)} to finish, a second signal ends them`)
    logger.info(await service.close(), 'stopped')
  } catch (error) {
    await service.destroy()
    throw error
  } finally {
    reloader?.[Symbol.dispose]()
    await admin.close()
    await service.dispose()
    await logger.close()
  }
  return 0
}

async function configure(config: ConfigRequest): Promise<Configured> {
  const { readConfigured } = await import('./configured.ts')
  return readConfigured(config)
}

/** Without a file there is no need for all that reads one. */
function configureByFlags(settings: Settings): Configured {
  const describe = (): Promise<string> => {
    const { admin, ...rest } = settings
    const shown = { ...rest, ...(admin !== undefined && { admin: { ...admin, token: admin.token === '' ? '' : '***' } }) }
    return Promise.resolve(`${JSON.stringify(shown, null, 2)}\n`)
  }
  return { settings, warnings: [], text: '', describe }
}

/** Undefined where there is no file that could change. */
async function createReloader(
  config: ConfigRequest | undefined,
  text: string,
  take: (configured: Configured) => Promise<Reconfigured>,
  logger: CommandLogger,
): Promise<Reloader | undefined> {
  if (config?.path === undefined) return undefined
  const { Reloader } = await import('./reloader.ts')
  return new Reloader({ request: { ...config, path: config.path }, text, take, logger })
}

/** Alone, the proxy is in this process; otherwise this one only looks after those that serve, and need not load the engine. */
async function createService(settings: Settings, logger: CommandLogger): Promise<Service> {
  const workers = resolveWorkers(settings.workers)
  if (workers === 1) {
    const { SingleService } = await import('./single-service.ts')
    return new SingleService(settings, logger)
  }
  const { GroupService } = await import('./group-service.ts')
  return new GroupService(settings, workers, logger)
}

/** What the admin listener steers. */
function makeControls(inForce: SettingsInForce, service: Service, reloader: Reloader | undefined, logger: CommandLogger): AdminControls {
  return {
    setLogLevel(level) {
      if (!isLogLevel(level)) return false
      logger.setLevel(level)
      service.setLogLevel(level)
      return true
    },
    // The one way to stop.
    drain: () => void process.kill(process.pid, 'SIGTERM'),
    describeConfig: () => inForce.describe(),
    ...(reloader !== undefined && {
      reload: () => reloader.reload('asked for by the admin listener'),
      reloadFigures: () => {
        const { reloadsTotal, failuresTotal, isLastGood } = reloader.stats
        return { succeeded: reloadsTotal, failed: failuresTotal, isLastGood }
      },
    }),
  }
}

function announce(addresses: readonly string[], settings: Settings, workers: number, logger: CommandLogger): void {
  const { upstreams = [], service } = settings.options
  const forwardsTo =
    service === undefined ? { upstreams: upstreams.length === 0 ? 'embedded origin' : upstreams } : { groups: Object.keys(service.groups) }
  for (const address of addresses) {
    const fields = { address, ...forwardsTo, workers }
    logger.info(fields, `listening on ${address}`)
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

/**
 * Resolves at the first signal that ends; the second one ends the process without waiting for anybody. The other signals are taken from
 * here on, too: their default action is to kill.
 */
function awaitStopSignal(service: Service, reload: () => void, logger: CommandLogger): Promise<StopSignal> {
  return new Promise((resolve) => {
    let isStopping = false
    const onStop = (signal: StopSignal): void => {
      if (!isStopping) {
        isStopping = true
        return resolve(signal)
      }
      logger.warn({ signal }, 'second signal: ending at once')
      // One turn of the loop lets the exchanges that were cut reach the access log, which is written at exit.
      void service.destroy().then(() => setImmediate(() => process.exit(signalExitCodes[signal])))
    }
    process.on('SIGINT', onStop)
    process.on('SIGTERM', onStop)
    process.on('SIGUSR2', () => service.reopen())
    process.on('SIGHUP', () => {
      // Who closes the window wants it to end; a reload would leave it behind, with the port.
      if (hasLostTerminal()) onStop('SIGTERM')
      else if (!isStopping) reload()
    })
  })
}
