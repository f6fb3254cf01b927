/** What each worker of the command runs: a proxy that writes its own log and access log, with its number in every line. */
import type { AccessLogSettings } from '../core/service-options.ts'
import { createProxy } from '../index.ts'
import type { LogFormat, LogLevel } from '../observe/logger.ts'
import { GroupMember } from '../workers/group-member.ts'
import { CommandAccessLog } from './command-access-log.ts'
import { containFaults } from './contain-faults.ts'
import { createLogger, isLogLevel } from './logger.ts'
import { endProcess } from './terminal.ts'

export interface WorkerPayload {
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
  readonly accessLog: AccessLogSettings | undefined
  /** Standard output is a pipe to the primary, which writes lines of the access log to where they go. */
  readonly isPiped: boolean
}

const member = await GroupMember.join()
endProcess(await main())

async function main(): Promise<number> {
  const { logLevel, logFormat, accessLog: settings, isPiped } = member.payload as WorkerPayload
  const logger = await createLogger(logLevel, logFormat, { worker: member.number })
  const faults = containFaults(logger)
  let accessLog: CommandAccessLog | undefined
  try {
    const log = new CommandAccessLog(settings, member.number, logger)
    accessLog = log
    const proxy = createProxy({ ...member.options, logger })
    log.follow(proxy)
    faults.isServing = true
    await member.serve(proxy, {
      onReopen: () => log.reopen(),
      onPayload: async (payload) => {
        const next = payload as WorkerPayload
        if (next.isPiped && !isPiped) throw new Error('its lines are to come through the primary')
        await log.prepare(next.accessLog).commit()
      },
      onLogLevel: (level) => {
        if (isLogLevel(level)) logger.setLevel(level)
      },
      onOrphaned: () => logger.warn({}, 'the primary is gone: finishing what runs'),
    })
    return 0
  } catch (error) {
    await member.fail(error)
    return 1
  } finally {
    await accessLog?.close()
    await logger.close()
  }
}
