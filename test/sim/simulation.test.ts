/**
 * Many seeds, one run each. EPROXY_SEEDS says how many (256 without it), EPROXY_SEED replays one and prints what happened last.
 */
import { test } from 'node:test'
import { ParserEngine } from '../../native-free-parser/index.ts'
import { SeededRandom } from '../support/seeded-random.ts'
import { Simulation } from './simulation.ts'
import { World } from './world.ts'

const replayed = process.env['EPROXY_SEED']
const count = Number(process.env['EPROXY_SEEDS'] ?? 256)
const seeds = replayed === undefined ? Array.from({ length: count }, (_, i) => i) : [Number(replayed)]
const failuresMax = 10

test(`whatever clients and origins do, every byte belongs where it goes, and nothing is left behind (${seeds.length} seeds)`, async (t) => {
  const engine = new ParserEngine({ slots: 64 })
  const failures: string[] = []
  for (const seed of seeds) {
    const simulation = new Simulation(new World(new SeededRandom(seed)), engine)
    try {
      await simulation.run()
    } catch (error) {
      if (replayed !== undefined) for (const line of simulation.trace.slice(-80)) t.diagnostic(line)
      failures.push(`EPROXY_SEED=${seed}: ${error instanceof Error ? error.stack : String(error)}`)
      if (failures.length === failuresMax) break
    }
  }
  if (failures.length > 0) throw new Error(`${failures.length} of ${seeds.length} seeds failed\n${failures.join('\n')}`)
})
