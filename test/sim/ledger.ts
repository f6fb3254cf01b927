/** What was asked and what was answered, by tag: the truth that both ends of a simulation are compared with. */
import assert from 'node:assert/strict'

export interface PlannedRequest {
  readonly tag: string
  readonly method: string
  /** As it goes over the wire, latin-1. */
  readonly text: string
  /** Where the body begins. */
  readonly headBytes: number
  /** Without its framing. */
  readonly body: string
  /** `head`: not one byte may reach an upstream; `body`: it may begin to, and must not end. */
  readonly fault: 'none' | 'head' | 'body'
  readonly expectsContinue: boolean
  readonly upgrades: boolean
  /** No other request may follow it on its connection. */
  readonly isLast: boolean
}

/** One answer of an origin to one arrival of a request. */
export interface OriginAnswer {
  readonly tag: string
  readonly attempt: number
  status: number
  /** Without framing; of a response that breaks off, what would have been sent. */
  readonly body: string
  /** All of it was sent, well-formed and with a clean end. */
  isWhole: boolean
}

export class Ledger {
  readonly requests = new Map<string, PlannedRequest>()
  readonly #answers = new Map<string, OriginAnswer[]>()

  plan(request: PlannedRequest): void {
    this.requests.set(request.tag, request)
  }

  requestOf(tag: string): PlannedRequest {
    const request = this.requests.get(tag)
    assert(request !== undefined, `nobody sent a request ${tag}`)
    return request
  }

  /** An arrival of a request at an origin: how many there were before. */
  attemptsOf(tag: string): number {
    return this.#answers.get(tag)?.length ?? 0
  }

  answer(answer: OriginAnswer): void {
    const before = this.#answers.get(answer.tag) ?? []
    this.#answers.set(answer.tag, [...before, answer])
  }

  answerOf(tag: string, attempt: number): OriginAnswer {
    const answer = this.#answers.get(tag)?.[attempt]
    assert(answer !== undefined, `no origin gave answer ${attempt} to ${tag}`)
    return answer
  }
}

/** Bytes that belong to one message and to no other. */
export function makeBody(mark: string, bytes: number): string {
  const unit = `${mark};`
  return unit.repeat(Math.ceil(bytes / unit.length)).slice(0, bytes)
}
