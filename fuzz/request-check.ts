/** What reaches an upstream: canonical requests, of which every reader sees the same, however strict or lenient it is. */
import { Buffer } from 'node:buffer'
import { ReferenceFault, ReferenceReader, type ReferenceMessage } from '../test/support/reference-parser.ts'
import type { SeededRandom } from '../test/support/seeded-random.ts'
import { isBeyondReference } from './answer-check.ts'
import type { UpstreamRecord } from './engine-run.ts'
import type { ForeignMessage } from './foreign-reading.ts'
import { makeQuirks, readLeniently } from './lenient-reader.ts'
import { readWithNode } from './node-parser.ts'
import { expect, expectSame, Violation } from './target.ts'
import { readWithUndici } from './undici-parser.ts'

/** A request as all readers see it. */
export interface SeenRequest {
  readonly method: string
  readonly target: string
  readonly fields: readonly string[]
  readonly body: string
  readonly complete: boolean
}

const lenientReaders = 3

/** What the readers see, up to a switch of protocols; undefined for what the reference reader does not read. `mayBeCut`: the last one. Throws Violation. */
export function checkRequests(
  { written, httpBytes }: UpstreamRecord,
  mayBeCut: boolean,
  random: SeededRandom,
): readonly SeenRequest[] | undefined {
  const text = written.slice(0, httpBytes)
  const reader = new ReferenceReader('request')
  try {
    reader.push(text)
  } catch (error) {
    if (!(error instanceof ReferenceFault) || isBeyondReference(error, 'request')) return undefined
    throw new Violation(`what reaches the upstream is no sequence of requests: ${String(error)}\n  ${JSON.stringify(text)}`, {
      cause: error,
    })
  }
  expect(reader.isAtBoundary || mayBeCut, () => `a request is cut and not reset: ${reader.describe()}`)
  const seen = reader.messages.map(ofReference)
  const bytes = Buffer.from(text, 'latin1')
  for (const [name, read] of [['Node', readWithNode] as const, ['undici', readWithUndici] as const]) {
    const { messages, fault } = read('request', bytes)
    expect(fault === '', () => `${name} refuses what reaches the upstream with ${fault}: ${JSON.stringify(text)}`)
    expectSame(messages.map(ofForeign), seen, `${name} and the reference reader see different requests`)
  }
  for (let count = 0; count < lenientReaders; count++) checkLeniently(text, seen, reader.isAtBoundary, random)
  return seen
}

/** What is cut, a lenient reader may take for more or for less than it is; nothing can be smuggled with what ends in a reset. */
function checkLeniently(text: string, seen: readonly SeenRequest[], isWhole: boolean, random: SeededRandom): void {
  const quirks = makeQuirks(random)
  const read = readLeniently(text, quirks)
  const whole = seen.filter(({ complete }) => complete)
  expectSame(
    read.slice(0, isWhole ? read.length : whole.length),
    whole.map(({ method, target, body, complete }) => ({ method, target, body, complete })),
    `a lenient reader sees different requests: ${JSON.stringify(quirks)}`,
  )
}

function ofReference({ method, target, fields, body, complete }: ReferenceMessage): SeenRequest {
  return { method, target, fields: fields.flat(), body, complete }
}

function ofForeign({ method, target, rawFields, body, complete }: ForeignMessage): SeenRequest {
  return { method, target, fields: rawFields.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : text)), body, complete }
}
