/** What every client may expect of what it receives: whole responses one after the other, the last one perhaps visibly cut. */
import { ReferenceFault, ReferenceReader } from '../test/support/reference-parser.ts'
import type { EngineRun } from './engine-run.ts'
import { Violation } from './target.ts'

/** The reader of the client's side, when all has been read; undefined for what it does not read. Throws Violation. */
export function checkAnswers(run: EngineRun): ReferenceReader | undefined {
  const answered = run.summaries.filter(({ status }) => status > 0)
  const reader = new ReferenceReader('response', (index) => {
    const summary = answered[index]
    return summary === undefined ? undefined : summary.method || 'GET'
  })
  try {
    reader.push(run.received)
    if (reader.last?.status === 101) return reader
    const { peer } = run.client
    if (peer.sawEnd && !peer.sawReset) reader.end()
  } catch (error) {
    if (!(error instanceof ReferenceFault) || isBeyondReference(error, 'response')) return undefined
    throw new Violation(`the client does not get whole responses: ${error.message}\n  ${JSON.stringify(run.received.slice(-400))}`, {
      cause: error,
    })
  }
  return reader
}

/** The reference reader is for senders that are careful; what RFC 9110 lets a proxy pass on as it came is no fault of the proxy. */
export function isBeyondReference({ message }: ReferenceFault, kind: 'request' | 'response'): boolean {
  if (message === 'several date fields' || /^Content-Length: [1-9][0-9]{15}$/.test(message)) return true
  return kind === 'request' ? message.startsWith('request line "M-SEARCH ') : message === 'several host fields'
}
