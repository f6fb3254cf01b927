/** The command, as a program of its own. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { registry } from '../../fuzz/registry.ts'
import { TemporaryFolder } from '../support/temporary-folder.ts'

const program = fileURLToPath(new URL('../../fuzz/main.js', import.meta.url))

function run(...options: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [program, ...options], { encoding: 'utf8', timeout: 60_000 })
}

interface Report {
  readonly findings: number
  readonly targets: readonly { readonly target: string; readonly runs: number; readonly edges: number; readonly llhttpStates: number }[]
}

test('the same seed gives the same campaign, to the last edge', () => {
  const options = ['parser-split', '--runs', '300', '--seed', '7', '--time', '10m', '--fresh', '--json', '-']
  const [once, again] = [run(...options), run(...options)].map(({ status, stdout, stderr }) => {
    assert.equal(status, 0, stderr)
    const { targets, findings } = JSON.parse(stdout) as Report
    assert.equal(findings, 0)
    const { target, runs, edges, llhttpStates } = targets[0]!
    assert(edges > 500, `${edges} edges of our modules are counted`)
    assert(llhttpStates > 50, `${llhttpStates} states of llhttp are seen`)
    return { target, runs, edges, llhttpStates }
  })
  assert.equal(once!.runs, 300)
  assert.deepEqual(again, once)
})

test('a report is written for all targets, with as many threads as there may be', () => {
  using folder = new TemporaryFolder()
  const json = folder.file('report.json')
  const { status, stdout, stderr } = run('--all', '--runs', '20', '--seed', '1', '--time', '10m', '--fresh', '--jobs', '2', '--json', json)
  assert.equal(status, 0, stderr)
  const report = JSON.parse(readFileSync(json, 'utf8')) as Report
  assert.deepEqual(report.targets.map(({ target }) => target).sort(), registry.map(({ target }) => target.name).sort())
  assert(report.targets.every(({ runs }) => runs === 20))
  for (const { target } of registry) assert.match(stdout, new RegExp(`^${target.name} .* 20 `, 'm'))
})

test('a file is run again with the seed in its name', () => {
  using folder = new TemporaryFolder()
  const file = folder.file('cli-units-made-up-5.bin')
  writeFileSync(file, '10s')
  const { status, stdout } = run('--replay', file)
  assert.equal(status, 0)
  assert.match(stdout, /^cli-units, seed 5, 3 bytes:\n'10s'\n\nevery invariant holds$/m)
})

test('without a target, the targets are listed with what must hold of them', () => {
  const { status, stdout } = run()
  assert.equal(status, 0)
  for (const { target } of registry) assert(stdout.includes(`${target.name}\n  - ${target.invariants[0]}`))
})

test('wrong use is told in one line', () => {
  for (const [options, message] of [
    [['nobody'], /^fuzz: there is no target nobody; there are parser-split, /],
    [['cli-units', '--seed', 'x'], /^fuzz: --seed takes a whole number from 0 up, not x$/],
    [['cli-units', '--time', '10'], /^fuzz: "10" is not a duration: /],
    [['cli-units', '--all'], /^fuzz: either a target or --all$/],
    [['--replay', 'some.bin'], /^fuzz: whose input is some\.bin\? /],
    [['--bogus'], /^fuzz: /],
  ] as const) {
    const { status, stdout, stderr } = run(...options)
    assert.equal(status, 2, options.join(' '))
    assert.equal(stdout, '')
    assert.match(stderr.trimEnd(), message)
    assert.equal(stderr.trimEnd().split('\n').length, 1)
  }
})
