/**
 * The log of the command: pino on standard error, so that standard output stays free for the access log. JSON for machines, pino-pretty
 * for a terminal. Lines go through LineWriter instead of pino's own destination, whose choice is between blocking the event loop when
 * the reader stands still and losing the last lines at exit.
 */
import { pino } from 'pino'
import { LineWriter } from '../observe/line-writer.ts'
import { logLevels, type LogFormat, type Logger, type LogLevel } from '../observe/logger.ts'

export function isLogLevel(text: string): text is LogLevel {
  return (logLevels as readonly string[]).includes(text)
}

export interface CommandLogger extends Logger {
  /** Logs more or less from now on. */
  setLevel(level: LogLevel): void
  /** Resolves when every line is written, or cannot be. */
  close(): Promise<void>
}

/** `everyLine` are fields that stand in each. */
export async function createLogger(level: LogLevel, format: LogFormat, everyLine: object = {}): Promise<CommandLogger> {
  const writer = new LineWriter({ destination: 2 })
  const formatLine = await chooseFormat(format)
  const write = (line: string): void => {
    // LineWriter counts bytes by characters.
    writer.write(Buffer.from(formatLine(line)).toString('latin1'))
    writer.flush()
  }
  const logger = pino(
    {
      level,
      base: { pid: process.pid, ...everyLine },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: pino.stdSerializers.err, error: pino.stdSerializers.err },
    },
    { write },
  )
  return {
    trace: (fields, message) => logger.trace(fields, message),
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    fatal: (fields, message) => logger.fatal(fields, message),
    setLevel: (next) => void (logger.level = next),
    close: () => writer.close(),
  }
}

/** 'auto' is for people only on a terminal, and only when pino-pretty is installed: a container image may leave it out. */
async function chooseFormat(format: LogFormat): Promise<(line: string) => string> {
  const isTerminal = process.stderr.isTTY
  if (format === 'json' || (format === 'auto' && !isTerminal)) return (line) => line
  try {
    const { prettyFactory } = await import('pino-pretty')
    // hasColors() knows NO_COLOR and FORCE_COLOR.
    const colorize = isTerminal && process.stderr.hasColors()
    const formatLine = prettyFactory({ colorize, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid' })
    return (line) => formatLine(escapeControls(line))
  } catch (error) {
    if (format === 'pretty') throw new Error('--log-format pretty needs the package pino-pretty', { cause: error })
    return (line) => line
  }
}

/**
 * pino-pretty prints messages, keys and stacks as they are, and they may hold what a peer sent. Its input is JSON, where control
 * characters are escapes (DEL and C1 are not): an escaped backslash before each turns it into the text `\u001b`.
 */
export function escapeControls(json: string): string {
  return json
    .replace(/\\(?:u[0-9a-fA-F]{4}|.)/g, (escape) => (/^\\(?:u00[01]|u007f|u00[89]|[bfr])/.test(escape) ? `\\${escape}` : escape))
    .replace(/[\u007f-\u009f]/g, (control) => `\\\\u00${control.charCodeAt(0).toString(16)}`)
}
