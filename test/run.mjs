/**
 * Runs the tests: every test/**\/*.test.ts, from its compiled file in build/. The list is made here and not by a glob, because globs of
 * `node --test` differ between Node versions; and it is made from the sources, so that an output whose source is gone never runs.
 *
 *   npm test                              all
 *   npm test -- parser pool               files whose path contains "parser" or "pool"
 *   npm test -- --test-name-pattern=idle  options go to `node --test`
 *
 * Nothing hangs for ever: time-limit.mjs ends a test file that takes too long, and this file ends the run as a whole. (The runner's
 * own --test-timeout bounds a file on Node 20 and 22 but a single test on Node 24 and later, where a file that keeps its event loop
 * alive would run on.)
 */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fileTimeMaxMs } from './time-limit.mjs'

/** A safety net for a file that spins and so never looks at its own limit. */
const runTimeMaxMs = 600_000

const root = fileURLToPath(new URL('..', import.meta.url))
const runnerOptions = process.argv.slice(2).filter((argument) => argument.startsWith('-'))
const filters = process.argv.slice(2).filter((argument) => !argument.startsWith('-'))

const names = readdirSync(join(root, 'test'), { recursive: true })
  .map((name) => name.split(sep).join('/'))
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => filters.length === 0 || filters.some((filter) => `test/${name}`.includes(filter)))
  .sort()
if (names.length === 0)
  fail(filters.length === 0 ? 'there is no test/**/*.test.ts' : `no test file's path contains ${filters.join(' or ')}`)

const files = names.map((name) => join('build', 'test', name.replace(/\.ts$/, '.js')))
const unbuilt = files.filter((file) => !existsSync(join(root, file)))
if (unbuilt.length > 0) fail(`not built (npm run build): ${unbuilt.join(', ')}`)

const runner = spawn(
  process.execPath,
  [
    '--test',
    '--test-reporter=spec',
    // Tests wait for sockets more than they compute: two at a time even where the runner's default would be one.
    `--test-concurrency=${Math.max(2, availableParallelism())}`,
    // Behind the limit of time-limit.mjs, which can say more; this one also ends a file that spins.
    `--test-timeout=${fileTimeMaxMs + 5_000}`,
    `--import=${new URL('time-limit.mjs', import.meta.url).href}`,
    ...runnerOptions,
    ...files,
  ],
  { cwd: root, stdio: 'inherit' },
)
runner.once('error', (error) => fail(error.message))
runner.once('exit', (code, signal) => {
  clearTimeout(deadline)
  if (signal !== null) console.error(`test: the runner was ended by ${signal}`)
  process.exitCode = code ?? 1
})
// The runner ends its test files itself when it is told to end.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => runner.kill(signal))
const deadline = setTimeout(() => {
  console.error(`test: not done after ${runTimeMaxMs / 1000} s`)
  runner.once('exit', () => process.exit(1))
  runner.kill('SIGTERM')
  setTimeout(() => runner.kill('SIGKILL'), 5_000).unref()
}, runTimeMaxMs)

function fail(message) {
  console.error(`test: ${message}`)
  process.exit(1)
}
