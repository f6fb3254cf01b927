/** The process of the origins that misbehave; apart from that of the raiders, so that neither waits for the other. */
import { RefusingAddress } from '../support/refusing-address.ts'
import { SeededRandom } from '../support/seeded-random.ts'
import { obey } from './child-program.ts'
import type { OriginOrders } from './crowd-messages.ts'
import { FaultList } from './fault-list.ts'
import { Pace } from './pace.ts'
import { RoughOrigin } from './rough-origin.ts'

const steadyOrigins = 2

const faults = new FaultList()
const misdeeds = new Map<string, number>()
const pace = new Pace()
const origins: RoughOrigin[] = []
const releases: (() => void)[] = []
let flapping: Promise<void> = Promise.resolve()

const channel = obey<OriginOrders>({
  open: async ({ seed }) => {
    for (let index = 0; index < steadyOrigins + 1; index++) {
      const random = new SeededRandom(seed + index)
      const origin = new RoughOrigin({ random, pace, faults, onMisdeed: (name) => misdeeds.set(name, (misdeeds.get(name) ?? 0) + 1) })
      await origin.listen()
      origins.push(origin)
    }
    flapping = origins.at(-1)!.flap()
    const refusing = await RefusingAddress.hold({ after: (release) => void releases.push(release as () => void) })
    return [...origins.map(({ address }) => address), refusing.address]
  },
  tally: () => ({ misdeeds: Object.fromEntries(misdeeds), faults: { count: faults.count, samples: faults.samples } }),
  close: async () => {
    pace.end()
    await flapping
    await Promise.all(origins.map((origin) => origin.close()))
    for (const release of releases) release()
    // The reply goes first.
    setImmediate(channel.leave)
  },
})
