/**
 * Waits that end. What a test waits for either comes, or the test fails and says what it saw instead; no test depends on how long it took.
 */
import { setTimeout as delay } from 'node:timers/promises'

/** Far beyond every deadline that a test sets, so that running into it always means a fault. */
export const patienceMs = 20_000
const lookAgainMs = 5

/** The outcome of `wait`, or an error that says what was waited for and how things stood. */
export async function patiently<T>(wait: Promise<T>, describe: () => string): Promise<T> {
  const impatience = new AbortController()
  const limit = delay(patienceMs, undefined, { signal: impatience.signal, ref: true }).then(() => {
    throw new Error(`waited in vain for ${describe()}`)
  })
  limit.catch(() => {})
  try {
    return await Promise.race([wait, limit])
  } finally {
    impatience.abort()
  }
}

/** Resolves when `condition` holds: for states that no event announces. */
export async function until(condition: () => boolean, describe: () => string): Promise<void> {
  const startedAt = performance.now()
  while (!condition()) {
    if (performance.now() - startedAt > patienceMs) throw new Error(`waited in vain for ${describe()}`)
    await delay(lookAgainMs)
  }
}
