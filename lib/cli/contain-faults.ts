/** Exceptions that nothing caught: logged, and the process goes on once it serves. */
import type { CommandLogger } from './logger.ts'

/**
 * An exception of our own that no connection contained is logged and the process goes on serving: every connection but one is most
 * likely sound, and one bad request must not end them all. Before the proxy serves there is nothing to save, and the start fails.
 */
export function containFaults(logger: CommandLogger): { isServing: boolean } {
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
