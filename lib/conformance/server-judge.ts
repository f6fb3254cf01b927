/** Compares what a case means for an origin server with what its client saw. A pure function, as judge.ts is for proxies. */
import type { SettleReason } from './client.ts'
import type { Fault } from './judge.ts'
import { refusalStatuses, type ServerOutcome } from './server-case.ts'
import type { ResponseReading } from './strict-parser.ts'

export interface ServerObservation {
  readonly responses: ResponseReading
  readonly isEnded: boolean
  readonly settledBy: SettleReason
}

/** No fault when one of the outcomes holds. */
export function judgeServer(outcomes: readonly ServerOutcome[], seen: ServerObservation): Fault[] {
  const attempts = outcomes.map((outcome) => ({
    outcome,
    faults: outcome.kind === 'accept' ? judgeAccepted(outcome, seen) : judgeRefused(outcome, seen),
  }))
  if (attempts.some(({ faults }) => faults.length === 0)) return []
  const [first] = attempts
  if (first !== undefined && attempts.length === 1) return first.faults
  const text = attempts.map(({ outcome, faults }) => `${outcome.kind}: ${faults.map((fault) => fault.text).join('; ')}`).join(' | ')
  return [{ text: `none of the permitted outcomes: ${text}`, isMild: attempts.some(({ faults }) => faults.every((fault) => fault.isMild)) }]
}

function judgeAccepted(outcome: ServerOutcome & { kind: 'accept' }, { responses, isEnded, settledBy }: ServerObservation): Fault[] {
  const faults: Fault[] = []
  const { finals, interims, fault } = responses
  if (fault !== null) faults.push(grave(fault))
  if (finals.length > outcome.responses.length || finals.length < outcome.responsesMin) {
    faults.push(grave(`${finals.length} responses, expected ${outcome.responses.length} (${settledBy})`))
  }
  finals.forEach(({ status, complete }, index) => {
    const due = outcome.responses[index]
    const where = index === 0 ? 'the response' : `response ${index + 1}`
    if (!complete) faults.push(grave(`${where} is incomplete`))
    if (due === 'accepted' && refusalStatuses.has(status)) faults.push(grave(`a good request was refused with ${status}`))
    if (due === 'refused' && !refusalStatuses.has(status)) faults.push(grave(`${where} has status ${status}, a refusal was due`))
  })
  for (const status of outcome.interimAbsent) {
    if (interims.some((interim) => interim.status === status)) faults.push(grave(`the interim ${status} must not be sent`))
  }
  if (outcome.close === true && !isEnded) faults.push(grave('the connection was not closed'))
  return faults
}

function judgeRefused(outcome: ServerOutcome & { kind: 'refuse' }, { responses, isEnded, settledBy }: ServerObservation): Fault[] {
  const { finals, fault } = responses
  const [answer] = finals
  const faults: Fault[] = []
  if (fault !== null) faults.push(grave(fault))
  if (answer === undefined) return isEnded ? faults : [...faults, grave(`neither a response nor a close (${settledBy})`)]
  const isRefusal = refusalStatuses.has(answer.status)
  if (!isRefusal && !outcome.inBody) faults.push(grave(`accepted with ${answer.status}`))
  if (finals.length > 1) faults.push(grave(`${finals.length} responses: what followed was taken for another request`))
  if (!isEnded && !isRefusal && outcome.inBody) faults.push(grave(`answered with ${answer.status} and left open behind a broken body`))
  if (!isEnded && isRefusal && !outcome.mayStayOpen) faults.push({ text: 'the connection was left open after the refusal', isMild: true })
  return faults
}

function grave(text: string): Fault {
  return { text, isMild: false }
}
