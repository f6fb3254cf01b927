/**
 * What a case means for an origin server, of which only one side can be seen. A server has nothing to forward and its answers are its
 * own business, so three verdicts are left: it takes a request for a request (accepted, with whatever status), it refuses the message
 * as a message, or it closes. Pure: from a case to that, or to the reason why the case says nothing about a server.
 */
import { toList, type ConformanceCase, type Expectation, type ResponseExpectation } from './case-format.ts'

/** Statuses by which a server says that a message is no good, whatever it asks for. */
export const refusalStatuses: ReadonlySet<number> = new Set([400, 408, 411, 413, 414, 417, 426, 431, 497, 501, 505])

export type ServerOutcome =
  | {
      readonly kind: 'accept'
      /** One entry for each request: taken, or refused. */
      readonly responses: readonly ('accepted' | 'refused')[]
      readonly responsesMin: number
      readonly interimAbsent: readonly number[]
      readonly close: boolean | undefined
    }
  /** `inBody`: a server may answer before it has read the body; then it closes, and nothing of the rest becomes a request. */
  | { readonly kind: 'refuse'; readonly inBody: boolean; readonly mayStayOpen: boolean }

/** Any of the outcomes is right; a text says why the case is left out. */
export function toServerOutcomes(one: ConformanceCase): readonly ServerOutcome[] | string {
  if (one.direction === 'response') return 'the response of an origin is the subject'
  if (one.origin !== undefined) return 'it needs an origin that answers by script'
  if (one.needs !== undefined || proxyGroups.has(one.group)) return 'it judges what a proxy sends on'
  const outcomes = outcomesOf(one.expect)
  return outcomes.length === 0 ? 'only its upstream side is judged' : outcomes
}

/** In words, for reports. */
export function describeServerOutcome(outcome: ServerOutcome): string {
  if (outcome.kind === 'refuse') {
    const early = outcome.inBody ? ', or one early answer' : ''
    return `refused as a message (${[...refusalStatuses].join(', ')})${early}${outcome.mayStayOpen ? ', or closed' : ', then closed; or closed at once'}`
  }
  const { responses, interimAbsent, close } = outcome
  const kinds = responses.map((kind) => (kind === 'accepted' ? 'taken for a request (any other status)' : 'refused as a message'))
  const interim = interimAbsent.length === 0 ? '' : `, without ${interimAbsent.join(' or ')}`
  return `${kinds.length === 0 ? 'no response' : kinds.join(', then ')}${interim}${close === true ? ', then closed' : ''}`
}

const proxyGroups: ReadonlySet<string> = new Set(['hop-by-hop', 'via-forwarded', 'upgrade'])

function outcomesOf(expect: Expectation): ServerOutcome[] {
  switch (expect.outcome) {
    case 'any-of':
      return expect.of.flatMap(outcomesOf)
    case 'refuse':
      return [{ kind: 'refuse', inBody: expect.reach === 'prefix', mayStayOpen: expect.mayStayOpen === true }]
    case 'abort':
      return []
    case 'forward': {
      const { upstream, downstream } = expect
      if (upstream === null) return []
      const responses = downstream?.responses?.map(kindOf) ?? toList(upstream ?? {}).map(() => 'accepted' as const)
      return [
        {
          kind: 'accept',
          responses,
          responsesMin: downstream?.responsesMin ?? responses.length,
          interimAbsent: downstream?.interimAbsent ?? [],
          close: downstream?.close,
        },
      ]
    }
  }
}

function kindOf({ status }: ResponseExpectation): 'accepted' | 'refused' {
  return status !== undefined && toList(status).every((one) => refusalStatuses.has(one)) ? 'refused' : 'accepted'
}
