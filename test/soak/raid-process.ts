/**
 * The process of the raiders. It is a process of its own, so that its work does not count as latency of the good clients nor its memory as
 * that of the proxy.
 */
import { SeededRandom } from '../support/seeded-random.ts'
import { obey } from './child-program.ts'
import type { Doors, RaidOrders, RaidsTally } from './crowd-messages.ts'
import { FaultList } from './fault-list.ts'
import { Pace } from './pace.ts'
import { Raider } from './raider.ts'
import { raidTable } from './raids.ts'

const restMsMax = 1_500

class Raiders {
  readonly #faults = new FaultList()
  readonly #raids = new Map<string, { runs: number; endings: Map<string, number> }>()
  #pace = new Pace()
  #loops: Promise<void>[] = []

  raid(doors: Doors, clients: number, seed: number): void {
    const pace = new Pace()
    this.#pace = pace
    this.#loops = Array.from({ length: clients }, async (_, index) => {
      const random = new SeededRandom(seed + index)
      // Not all at once.
      await pace.rest(random.integer(0, 2_000))
      for (let run = 0; !pace.isOver; run++) {
        await this.#raidOnce(new Raider(`r${seed}x${index}x${run}`, { doors, random, pace, faults: this.#faults }), random)
        await pace.rest(random.integer(0, restMsMax))
      }
    })
  }

  async stop(): Promise<RaidsTally> {
    this.#pace.end()
    await Promise.all(this.#loops)
    return {
      raids: Object.fromEntries(
        [...this.#raids].map(([name, { runs, endings }]) => [name, { runs, endings: Object.fromEntries(endings) }]),
      ),
      faults: { count: this.#faults.count, samples: this.#faults.samples },
    }
  }

  async #raidOnce(raider: Raider, random: SeededRandom): Promise<void> {
    const name = random.weighted(raidWeights)
    const raid = raidTable.find((row) => row.name === name)!
    await raid.run(raider)
    const { endings } = raider
    await raider.close()
    let counted = this.#raids.get(name)
    if (counted === undefined) this.#raids.set(name, (counted = { runs: 0, endings: new Map() }))
    counted.runs++
    for (const ending of endings) {
      counted.endings.set(ending, (counted.endings.get(ending) ?? 0) + 1)
      // A rough origin may answer anything before it has had the request.
      if (raid.isRefused === true && raider.isAtFront && /^[123]/.test(ending)) this.#faults.add(`"${name}" was answered with ${ending}`)
    }
  }
}

const raidWeights: Readonly<Record<string, number>> = Object.fromEntries(raidTable.map(({ name, weight }) => [name, weight]))

const raiders = new Raiders()
const channel = obey<RaidOrders>({
  raid: ({ doors, clients, seed }) => raiders.raid(doors, clients, seed),
  stop: () => raiders.stop(),
  // The reply goes first.
  close: () => void setImmediate(channel.leave),
})
