/**
 * Loaded into the process of every test file (see run.mjs): ends the process when it takes too long, and says what keeps it alive.
 * The limit is for a file as a whole, for instance for a socket left open after its last test.
 */

export const fileTimeMaxMs = 240_000

// The runner's own process loads this too; only the processes of test files have a context.
if (process.env.NODE_TEST_CONTEXT !== undefined) {
  setTimeout(() => {
    const kept = process.getActiveResourcesInfo().join(', ')
    console.error(`test: ${process.argv[1]} was not done after ${fileTimeMaxMs / 1000} s; its event loop holds: ${kept}`)
    process.exit(1)
  }, fileTimeMaxMs).unref()
}
