/** Every target, what it starts from, and its canaries. */
import type { SeedCorpus } from './seed-corpus.ts'
import type { Canary, FuzzTarget } from './target.ts'
import { accessLogLine, accessLogLineCanaries } from './targets/access-log-line.ts'
import { chunkDecoder, chunkDecoderCanaries } from './targets/chunk-decoder.ts'
import { chunkEncoder, chunkEncoderCanaries } from './targets/chunk-encoder.ts'
import { cliUnits, cliUnitsCanaries } from './targets/cli-units.ts'
import { connectionTokensAndHost, connectionTokensAndHostCanaries } from './targets/connection-tokens-and-host.ts'
import { framingDecision, framingDecisionCanaries } from './targets/framing-decision.ts'
import { headRoundTrip, headRoundTripCanaries } from './targets/head-round-trip.ts'
import { parserSplit, parserSplitCanaries } from './targets/parser-split.ts'
import { responseHeadRoundTrip, responseHeadRoundTripCanaries } from './targets/response-head-round-trip.ts'
import { responsePath, responsePathCanaries } from './targets/response-path.ts'
import { routeMatch, routeMatchCanaries } from './targets/route-match.ts'
import { simulatedWorld, simulatedWorldCanaries } from './targets/simulated-world.ts'
import { smuggling, smugglingCanaries } from './targets/smuggling.ts'
import { wholeExchange, wholeExchangeCanaries } from './targets/whole-exchange.ts'

export interface Registration {
  readonly target: FuzzTarget
  readonly seeds: (corpus: SeedCorpus) => readonly Uint8Array[]
  readonly canaries: readonly Canary[]
}

export const registry: readonly Registration[] = [
  { target: parserSplit, seeds: ({ requests, responses }) => [...requests, ...responses], canaries: parserSplitCanaries },
  { target: framingDecision, seeds: ({ schedules, words }) => [...schedules, ...words], canaries: framingDecisionCanaries },
  { target: headRoundTrip, seeds: ({ requests }) => requests, canaries: headRoundTripCanaries },
  { target: responseHeadRoundTrip, seeds: ({ responses }) => responses, canaries: responseHeadRoundTripCanaries },
  { target: chunkDecoder, seeds: ({ chunkedBodies }) => chunkedBodies, canaries: chunkDecoderCanaries },
  { target: chunkEncoder, seeds: ({ chunkedBodies, words }) => [...chunkedBodies, ...words], canaries: chunkEncoderCanaries },
  { target: smuggling, seeds: ({ requests }) => requests, canaries: smugglingCanaries },
  { target: responsePath, seeds: ({ responses }) => responses, canaries: responsePathCanaries },
  { target: wholeExchange, seeds: ({ encounters }) => encounters, canaries: wholeExchangeCanaries },
  { target: simulatedWorld, seeds: ({ schedules }) => schedules, canaries: simulatedWorldCanaries },
  { target: connectionTokensAndHost, seeds: ({ words }) => words, canaries: connectionTokensAndHostCanaries },
  { target: cliUnits, seeds: ({ words }) => words, canaries: cliUnitsCanaries },
  { target: routeMatch, seeds: ({ words }) => words, canaries: routeMatchCanaries },
  { target: accessLogLine, seeds: ({ requests, words }) => [...words, ...requests], canaries: accessLogLineCanaries },
]
