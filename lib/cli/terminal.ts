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
