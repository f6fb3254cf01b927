/**
 * The simulation of the tests, with its chance taken from the input: which clients and origins there are, what they send, who breaks off, and
 * who goes next. Its actors know what was meant, and so judge every octet.
 */
import { Exchange } from '../../lib/exchange/exchange.ts'
import { UpstreamConnection } from '../../lib/upstream/connection.ts'
import { Simulation } from '../../test/sim/simulation.ts'
import { World } from '../../test/sim/world.ts'
import { ByteRandom } from '../byte-random.ts'
import { EngineLease } from '../engine-lease.ts'
import { withMember } from '../sabotage.ts'
import type { Canary, FuzzTarget } from '../target.ts'

const lease = new EngineLease(64)

export const simulatedWorld: FuzzTarget = {
  name: 'simulated-world',
  invariants: [
    'every octet that reaches an origin is that of the request that was meant, and a malformed request never looks whole',
    'every octet that reaches a client is that of the answer to its request, and a cut answer never looks whole',
    'a connection is used again only when it is clean, and a request is sent again only when it may be',
    'with nobody at fault, every request has its answer before any deadline',
    'no more is buffered and no more connections are open than the limits say, and nothing is left behind',
  ],
  run(data, random) {
    const chance = new ByteRandom(data, random.integer(0, 0x7fff_ffff))
    lease.use((engine) => new Simulation(new World(chance, false), engine).runAtOnce())
  },
}

export const simulatedWorldCanaries: readonly Canary[] = [
  {
    bug: 'a connection goes back to the pool whatever came over it',
    target: withMember(simulatedWorld, UpstreamConnection.prototype, 'isReusable', () => () => true),
  },
  {
    bug: 'a request is taken for complete before its body has come',
    target: withMember(simulatedWorld, Exchange.prototype, 'isRequestComplete', () => () => true),
  },
  {
    bug: 'the first octet of what comes late is lost',
    target: withMember(
      simulatedWorld,
      UpstreamConnection.prototype,
      'onBody',
      (onBody) =>
        function (this: UpstreamConnection, ...[bytes, start, end]: [Uint8Array, number, number]) {
          const late = end - start > 100 ? start + 1 : start
          onBody.apply(this, [bytes, late, end] as never[])
        },
    ),
  },
]
