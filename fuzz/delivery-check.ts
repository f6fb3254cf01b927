/** Each response goes to the request that it answers, and a connection is used again only when all that came over it is spoken for. */
import { Buffer } from 'node:buffer'
import { fieldOf, type ReferenceReader } from '../test/support/reference-parser.ts'
import type { ClientRecord, EngineRun, UpstreamRecord } from './engine-run.ts'
import { readWithNode } from './node-parser.ts'
import { expect, Violation } from './target.ts'
import { readWithUndici } from './undici-parser.ts'

/** The name of the field by which origins mark their responses with the number of the arrival. */
export const tagName = 'X-Tag'

/** For each new arrival but the first: the connection comes out of the pool. Throws Violation. */
export function checkReuse(upstream: UpstreamRecord): void {
  const { arrivals, delivered } = upstream
  const answered = arrivals.length - 1
  const describe = (): string => `request ${answered} goes over a used connection, over which came ${JSON.stringify(delivered.slice(-300))}`
  if (answered < 1) return
  expect(!upstream.endDelivered, () => `the end was read: ${describe()}`)
  expect(
    arrivals.slice(0, -1).every(({ message }) => message.complete),
    () => `a request before it is not complete: ${describe()}`,
  )
  // llhttp takes a tab for a part of the coding; white space is no part of a value.
  if (/^transfer-encoding:.*\t/im.test(delivered)) return
  // It also takes Proxy-Connection for Connection, which RFC 9112 appendix C.2.2 knows as a mistake.
  const isTold = !/^proxy-connection:/im.test(delivered)
  const bytes = Buffer.from(delivered, 'latin1')
  for (const read of [readWithNode, readWithUndici]) {
    const { messages, fault } = read('response', bytes, { isToHead: (index) => arrivals[index]?.message.method === 'HEAD' })
    const finals = messages.filter(({ status }) => status >= 200)
    const complete = finals.filter((message) => message.complete)
    // llhttp refuses some of what may be accepted: then it has no opinion.
    if (fault !== '' && complete.length < answered) continue
    expect(
      complete.length === answered && messages.length === messages.filter((one) => one.complete).length,
      () => `${complete.length} responses to ${answered} requests: ${describe()}`,
    )
    expect(fault === '', () => `there is something behind the last response: ${describe()}`)
    // Told before it is known that there is no body.
    const isToHead = arrivals[answered - 1]!.message.method === 'HEAD'
    expect(isToHead || !isTold || complete.at(-1)!.persists, () => `the last response is to be the last one: ${describe()}`)
  }
}

/** For each new arrival: behind a body or HEAD, of which its server may have left a rest unread, no other client follows. Throws Violation. */
export function checkIsolation({ arrivals }: UpstreamRecord): void {
  const last = arrivals.at(-1)!
  const before = arrivals.find(
    ({ message, client }) => client !== last.client && (message.method === 'HEAD' || message.framing === 'chunked' || message.body !== ''),
  )
  expect(
    before === undefined,
    () => `${last.client.socket.remote} follows ${before!.message.method} of ${before!.client.socket.remote} on one connection`,
  )
}

/** `reader` has read all that the client got, `answered` is what checkAnswers knows of it. Throws Violation. */
export function checkDelivery(run: EngineRun, client: ClientRecord, reader: ReferenceReader): void {
  const arrivals = run.upstreams.flatMap((upstream) => upstream.arrivals)
  const answered = client.summaries.filter(({ status }) => status > 0)
  let finals = 0
  for (const message of reader.messages) {
    const summary = answered[finals]
    if (message.status >= 200 || message.status === 101) finals++
    const tag = fieldOf(message.fields, tagName.toLowerCase())
    if (tag === undefined || summary === undefined) continue
    const exchange = client.summaries.indexOf(summary)
    const own = arrivals.filter((arrival) => arrival.client === client && arrival.exchange === exchange)
    if (own.length === 0 && run.upstreams.some(({ hasUnreadArrivals }) => hasUnreadArrivals)) continue
    // What an origin says too much may be on its way when the next request leaves: nobody can tell it from an answer.
    if (own.some(({ isDoubtful }) => isDoubtful)) continue
    const answers = arrivals.find(({ number }) => number === Number.parseInt(tag, 10))
    if (answers === undefined) throw new Violation(`a response to no request reaches the client: ${tag}`)
    expect(
      own.includes(answers),
      () =>
        `exchange ${exchange} of ${client.socket.remote} gets the response to exchange ${answers.exchange} of ${answers.client.socket.remote}`,
    )
  }
}
