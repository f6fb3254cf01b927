/** What every client may expect of what it receives: whole responses one after the other, the last one perhaps visibly cut. */
import { Buffer } from 'node:buffer'
import { fieldOf, ReferenceFault, ReferenceReader, type ReferenceMessage } from '../test/support/reference-parser.ts'
import type { ClientRecord } from './engine-run.ts'
import type { ForeignMessage } from './foreign-reading.ts'
import { readWithNode } from './node-parser.ts'
import { expect, expectSame, Violation } from './target.ts'
import { readWithUndici } from './undici-parser.ts'

/** The reader of the client's side, when all has been read; undefined for what it does not read. Throws Violation. */
export function checkAnswers({ received, summaries, socket: { peer } }: ClientRecord): ReferenceReader | undefined {
  const answered = summaries.filter(({ status }) => status > 0)
  const reader = new ReferenceReader('response', (index) => {
    const summary = answered[index]
    return summary === undefined ? undefined : summary.method || 'GET'
  })
  const hasEnded = peer.sawEnd && !peer.sawReset
  try {
    reader.push(received)
    if (hasEnded && reader.last?.status !== 101) reader.end()
  } catch (error) {
    if (!(error instanceof ReferenceFault) || isBeyondReference(error, 'response')) return undefined
    throw new Violation(`the client does not get whole responses: ${error.message}\n  ${JSON.stringify(received.slice(-400))}`, {
      cause: error,
    })
  }
  checkWithForeign(received, hasEnded, reader)
  return reader
}

/** The parsers of Node and of undici have to see the same. */
function checkWithForeign(received: string, hasEnded: boolean, reader: ReferenceReader): void {
  const seen = reader.messages.map(ofReference)
  const finals = reader.messages.filter(({ status }) => status >= 200)
  const options = {
    isToHead: (index: number): boolean => finals[index] !== undefined && isWithoutBody(finals[index]),
    hasEnded,
    stopsAtUpgrade: true,
  }
  const bytes = Buffer.from(received, 'latin1')
  for (const [name, read] of [['Node', readWithNode] as const, ['undici', readWithUndici] as const]) {
    const { messages, fault } = read('response', bytes, options)
    expect(fault === '', () => `${name} refuses what the client gets with ${fault}: ${JSON.stringify(received.slice(-400))}`)
    expectSame(messages.map(ofForeign), seen, `${name} and the reference reader see different responses`)
  }
}

/** Where the proxy answers HEAD before it has seen that it is HEAD, the body may be there. */
function isWithoutBody({ framing, fields, body }: ReferenceMessage): boolean {
  return framing === 'none' || (framing === 'close' && body === '' && fieldOf(fields, 'proxy-status') !== undefined)
}

/** Whether a 101 is complete is a matter of words. */
function ofReference(message: ReferenceMessage): unknown {
  const { status, fields, body } = message
  return status === 101 ? [status, fields.flat()] : [status, fields.flat(), body, message.complete || isWithoutBody(message)]
}

function ofForeign({ status, rawFields, body, complete }: ForeignMessage): unknown {
  const fields = rawFields.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : text))
  return status === 101 ? [status, fields] : [status, fields, body, complete]
}

/** The reference reader is for senders that are careful; what RFC 9110 lets a proxy pass on as it came is no fault of the proxy. */
export function isBeyondReference({ message }: ReferenceFault, kind: 'request' | 'response'): boolean {
  if (message === 'several date fields' || /^Content-Length: [1-9][0-9]{15}$/.test(message)) return true
  return kind === 'request' ? message.startsWith('request line "M-SEARCH ') : message === 'several host fields'
}
