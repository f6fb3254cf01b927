/** The terminal that the command was started from, if any. */
import fs from 'node:fs'

/** A terminal that is closed sends SIGHUP, as does who wants a reload; only then does it take no more bytes, not even none. */
export function hasLostTerminal(): boolean {
  if (!process.stderr.isTTY) return false
  try {
    fs.writeSync(2, '')
    return false
  } catch {
    return true
  }
}

/** Ends this process, when all that it had to write is written. */
export function endProcess(exitCode: number): never {
  if (hasLostTerminal()) {
    // As any program ends whose terminal is closed. Node 20 would abort when it restores the settings of a terminal that is gone.
    process.removeAllListeners('SIGHUP')
    process.kill(process.pid, 'SIGHUP')
  }
  process.exit(exitCode)
}
