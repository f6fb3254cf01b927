/**
 * The process of all who misbehave: raiders, and the origins behind the rough door. It is a process of its own, so that its work does not count as
 * latency of the good clients nor its memory as that of the proxy.
 */
import { RefusingAddress } from '../support/refusing-address.ts'
import { SeededRandom } from '../support/seeded-random.ts'
import { obey } from './child-program.ts'
import type { CrowdOrders, CrowdTally, Doors } from './crowd-messages.ts'
import { FaultList } from './fault-list.ts'
import { Pace } from './pace.ts'
import { Raider } from './raider.ts'
import { raidTable } from './raids.ts'
import { RoughOrigin } from './rough-origin.ts'

const steadyOrigins = 2
const restMsMax = 1_500

class Crowd {
  readonly faults = new FaultList()
  readonly #raids = new Map<string, { runs: number; endings: Map<string, number> }>()
  readonly #misdeeds = new Map<string, number>()
  readonly #originPace = new Pace()
  readonly #origins: RoughOrigin[] = []
  readonly #releases: (() => void)[] = []
  #flapping: Promise<void> = Promise.resolve()
  #pace = new Pace()
  #loops: Promise<void>[] = []

  get tally(): CrowdTally {
    return {
      raids: Object.fromEntries(
        [...this.#raids].map(([name, { runs, endings }]) => [name, { runs, endings: Object.fromEntries(endings) }]),
      ),
      misdeeds: Object.fromEntries(this.#misdeeds),
      faults: { count: this.faults.count, samples: this.faults.samples },
    }
  }

  async open(seed: number): Promise<readonly string[]> {
    for (let index = 0; index < steadyOrigins + 1; index++) {
      const origin = new RoughOrigin({
        random: new SeededRandom(seed + index),
        pace: this.#originPace,
        faults: this.faults,
        onMisdeed: (name) => this.#misdeeds.set(name, (this.#misdeeds.get(name) ?? 0) + 1),
      })
      await origin.listen()
      this.#origins.push(origin)
    }
    this.#flapping = this.#origins.at(-1)!.flap()
    const refusing = await RefusingAddress.hold({ after: (release) => void this.#releases.push(release as () => void) })
    return [...this.#origins.map(({ address }) => address), refusing.address]
  }

  raid(doors: Doors, clients: number, seed: number): void {
    const pace = new Pace()
    this.#pace = pace
    this.#loops = Array.from({ length: clients }, async (_, index) => {
      const random = new SeededRandom(seed + index)
      await pace.rest(random.integer(0, 2_000))
      for (let run = 0; !pace.isOver; run++) {
        await this.#raidOnce(new Raider(`r${seed}x${index}x${run}`, { doors, random, pace, faults: this.faults }), random)
        await pace.rest(random.integer(0, restMsMax))
      }
    })
  }

  async stop(): Promise<CrowdTally> {
    this.#pace.end()
    await Promise.all(this.#loops)
    return this.tally
  }

  async close(): Promise<void> {
    this.#originPace.end()
    await this.#flapping
    await Promise.all(this.#origins.map((origin) => origin.close()))
    for (const release of this.#releases) release()
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
      if (raid.isRefused === true && raider.isAtFront && /^[123]/.test(ending)) this.faults.add(`"${name}" was answered with ${ending}`)
    }
  }
}

const raidWeights: Readonly<Record<string, number>> = Object.fromEntries(raidTable.map(({ name, weight }) => [name, weight]))

const crowd = new Crowd()
const channel = obey<CrowdOrders>({
  open: ({ seed }) => crowd.open(seed),
  raid: ({ doors, clients, seed }) => crowd.raid(doors, clients, seed),
  tally: () => crowd.tally,
  stop: () => crowd.stop(),
  close: async () => {
    await crowd.close()
    setImmediate(channel.leave)
  },
})
