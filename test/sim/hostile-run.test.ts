/**
 * Clients that smuggle, a server that falls for it, and every order of events that a seed can think of: nobody is given what another has
 * asked for. EPROXY_SEEDS says how many seeds for each kind of server (40 without it).
 */
import assert from 'node:assert/strict'
import test from 'node:test'
import { ParserEngine } from '../../native-free-parser/index.ts'
import { leniencies, type Leniency } from '../support/lenient-server.ts'
import { HostileRun, type HostileOptions } from './hostile-run.ts'

const seeds = Number(process.env['EPROXY_SEEDS'] ?? 40)
const engine = new ParserEngine({ slots: 64 })

interface Outcome {
  readonly mixedUp: string[]
  readonly reusedInQuarantine: string[]
  answered: number
  quarantines: number
  kinds: Set<string>
}

function runAll(leniency: Leniency, options: HostileOptions): Outcome {
  const outcome: Outcome = { mixedUp: [], reusedInQuarantine: [], answered: 0, quarantines: 0, kinds: new Set() }
  for (let seed = 0; seed < seeds; seed++) {
    const run = new HostileRun(seed, leniency, options, engine)
    try {
      run.run()
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
    outcome.mixedUp.push(...run.mixedUp.map((verdict) => `seed ${seed}: ${verdict}`))
    outcome.reusedInQuarantine.push(...run.reusedInQuarantine)
    outcome.answered += run.answered
    outcome.quarantines += run.quarantines
    for (const kind of run.kinds) outcome.kinds.add(kind)
  }
  return outcome
}

for (const leniency of leniencies) {
  for (const { name, desync } of [
    { name: 'without quarantine', desync: { quarantineAfter: 0 } },
    { name: 'with quarantine', desync: { quarantineAfter: 2, quarantine: 2_000 } },
  ]) {
    test(`a server that ${leniency.what}: nobody is given the answer of another, ${name}`, () => {
      const { mixedUp, reusedInQuarantine, answered, quarantines } = runAll(leniency, { reuseAfterBody: 'same-client', desync })
      assert.deepEqual(mixedUp, [])
      assert.deepEqual(reusedInQuarantine, [])
      assert.equal(quarantines > 0, desync.quarantineAfter > 0)
      assert.equal(answered, seeds * 5 * 8)
    })
  }

  test(`a server that ${leniency.what} mixes answers up when connections are shared after a body, and the sentinel sees it`, (t) => {
    const { mixedUp, kinds } = runAll(leniency, { reuseAfterBody: 'anyone', desync: { quarantineAfter: 0 } })
    t.diagnostic(`${mixedUp.length} answers mixed up; signs: ${[...kinds].sort().join(', ')}`)
    assert(mixedUp.length > 0, 'this server is harmless: the tests above prove nothing')
    assert(kinds.size > 0)
  })
}
