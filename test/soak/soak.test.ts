/**
 * The soak as a command: a short one is clean, and each defect that can be planted into the engine is found by the check that is there for it. Several
 * run side by side: they wait more than they compute.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runCommand } from '../support/program.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'
import type { Verdict } from './checks.ts'
import { defectTable } from './defects.ts'

const main = fileURLToPath(new URL('./main.js', import.meta.url))
/** A defect that leaves good clients without an answer makes a run as long as these are waited for, in each of its phases. */
const soakMsMax = 240_000
const skip = process.platform === 'linux' ? false : 'it reads /proc'

test('the soak and its defects', { concurrency: 4, skip }, async (t) => {
  using folder = new TemporaryFolder()
  const soak = async (
    name: string,
    ...args: readonly string[]
  ): Promise<{ code: number | null; failed: readonly Verdict[]; stdout: string }> => {
    const jsonPath = folder.file(`${name}.json`)
    const options = ['--time', '5s', '--clients', '80', '--json', jsonPath, ...args]
    const { code, stdout, stderr } = await runCommand(process.execPath, [main, ...options], [], soakMsMax)
    assert(code === 0 || code === 1, stderr)
    const { verdicts } = JSON.parse(readFileSync(jsonPath, 'utf8')) as { verdicts: readonly Verdict[] }
    return { code, failed: verdicts.filter(({ problems }) => problems.length > 0), stdout: stdout.toString() }
  }

  await Promise.all([
    t.test('without a defect it is clean', async () => {
      const { code, failed, stdout } = await soak('clean')
      assert.deepEqual(failed, [], stdout)
      assert.equal(code, 0)
      assert.match(stdout, /\nclean, in [0-9]+ s\n$/)
    }),
    ...defectTable.map(({ name, what, foundBy }) =>
      t.test(`${name}: that ${what} is found`, async () => {
        const { code, failed, stdout } = await soak(name, '--plant', name)
        assert(
          failed.some((verdict) => verdict.name === foundBy),
          `"${foundBy}" found nothing:\n${stdout}`,
        )
        assert.equal(code, 1)
      }),
    ),
  ])
})

test('a wrong command line is told what is wrong, with exit code 2', async () => {
  for (const [args, message] of [
    [['--time', '2'], /the unit is missing/],
    [['--clients', 'many'], /--clients must be a whole number/],
    [['--plant', 'tulips'], /--plant does not know "tulips"/],
    [['--fast'], /--fast/],
  ] as const) {
    const { code, stderr } = await runCommand(process.execPath, [main, ...args])
    assert.equal(code, 2)
    assert.match(stderr, message)
  }
})
