/**
 * The mapping from rules to cases, proven by running it: every rule of the strictness table has a case that it refuses and a near miss
 * that it lets through. What a case says of a rule is what the proxy itself says, in its response or in its log.
 */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { loadCases, type ConformanceCase } from '../../lib/conformance/case-format.ts'
import { RecordingOrigin } from '../../lib/conformance/recording-origin.ts'
import type { CaseResult } from '../../lib/conformance/result.ts'
import { ConformanceRunner } from '../../lib/conformance/runner.ts'
import { groupOf, routeTo, serviceOf } from '../support/service.ts'
import { createProxy, ruleTable, type Logger, type RuleId } from '../../lib/index.ts'

const cases = loadCases()
const elsewhere = { hosts: [], path: { prefix: '/elsewhere' }, methods: [], headers: {} }
const workers = 6

interface Verdict {
  readonly result: CaseResult
  /** Named in the response, in the events of the proxy, or in its log. */
  readonly rules: readonly string[]
}

/** Each worker has a proxy and an origin of its own and runs one case after the other, so that what is logged belongs to the case. */
async function runAll(t: TestContext, selected: readonly ConformanceCase[]): Promise<Map<string, Verdict>> {
  const verdicts = new Map<string, Verdict>()
  const queue = selected.values()
  const work = async (): Promise<void> => {
    const named: string[] = []
    const note = ({ rule = '' }: { rule?: string }): void => void (rule === '' || named.push(rule))
    const origin = new RecordingOrigin()
    const originPort = await origin.listen(0)
    t.after(() => origin.close())
    const ignore = (): void => {}
    const logger: Logger = { trace: ignore, debug: ignore, info: note, warn: note, error: note, fatal: note }
    const proxy = createProxy({
      // All paths lead to the same servers; by which route is what a path may be ambiguous about.
      service: serviceOf(
        { all: groupOf([`127.0.0.1:${originPort}`]) },
        routeTo('all'),
        routeTo('all', { name: 'elsewhere', match: elsewhere }),
      ),
      forwarded: 'x-forwarded',
      reuseAfterBody: 'anyone',
      desync: { quarantineAfter: 0 },
      logger,
    })
    t.after(() => proxy.destroy())
    proxy.on('exchange', note)
    proxy.on('desync', note)
    const { address } = await proxy.listen('127.0.0.1:0')
    const endpoint = { host: '127.0.0.1', port: Number(address.split(':')[1]) }
    const runner = new ConformanceRunner({ proxy: endpoint, origin, originPort, concurrency: 1, timeoutMs: 5_000, runMsMax: 120_000 })
    await runner.learn()
    for (const one of queue) {
      named.length = 0
      const [result] = await runner.runAll([one])
      assert.ok(result)
      verdicts.set(one.id, { result, rules: [...new Set([...named, ...(result.received.match(/H1-[A-Z0-9-]+/g) ?? [])])] })
    }
  }
  await Promise.all(Array.from({ length: workers }, work))
  return verdicts
}

test('every rule has a case that breaks it, of which one is its example, and a near miss, and no case names a rule that is not there', () => {
  const known = Object.keys(ruleTable).sort()
  assert.deepEqual([...new Set(cases.flatMap(({ rule }) => rule ?? []))].sort(), known)
  assert.deepEqual(cases.flatMap(({ rule, example }) => (rule !== undefined && example === true ? [rule] : [])).sort(), known)
  assert.deepEqual([...new Set(cases.flatMap(({ nearMissOf }) => nearMissOf ?? []))].sort(), known)
})

test('the proxy names exactly the rule of each case, and no rule for any other case', async (t) => {
  const verdicts = await runAll(t, cases)
  assert.equal(verdicts.size, cases.length)
  const wrong = cases.flatMap(({ id, rule, direction }) => {
    const { result, rules } = verdicts.get(id)!
    const faults = result.passed ? [] : [`${id} failed: ${result.faults.join('; ')}`]
    const refusal = [...result.received.matchAll(/^HTTP\/1\.1 (\d+) [^\n]*\r\n(?:[^\r\n]+\r\n)*?Proxy-Status: [^\n]*details="H1-/gm)].at(-1)
    const due = direction === 'response' ? 502 : rule === undefined ? 0 : ruleTable[rule as RuleId].status
    if (refusal !== undefined && Number(refusal[1]) !== due) faults.push(`${id} is refused with ${refusal[1]}, the rule says ${due}`)
    const isNamed = rule === undefined ? rules.length === 0 : rules.length === 1 && rules[0] === rule
    return isNamed ? faults : [...faults, `${id} is said to break ${rule ?? 'nothing'}, the proxy names ${rules.join(', ') || 'nothing'}`]
  })
  assert.deepEqual(wrong, [])
})

test('every near miss reaches the other side', async (t) => {
  const near = cases.filter(({ nearMissOf }) => nearMissOf !== undefined)
  const verdicts = await runAll(t, near)
  for (const { id, direction } of near) {
    const { result, rules } = verdicts.get(id)!
    assert.deepEqual(rules, [], id)
    assert.deepEqual(result.faults, [], id)
    assert.equal(result.upstream?.length, 1, `${id} reaches the origin once`)
    if (direction === 'response') assert.match(result.received, /^X-Origin: /m, `${id} reaches the client`)
  }
})
