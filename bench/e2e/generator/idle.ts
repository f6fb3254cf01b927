/**
 * Connections that have each had one answer and say nothing more: what a proxy keeps for a client that might come back.
 */
import { Client, type ClientUser } from './client.ts'
import type { IdlePlan, IdleResult } from './plan.ts'

const openingMax = 64
const waitMs = 30_000

/** Resolves when all have had their answer. They stay open until the process ends. */
export async function runIdle(plan: IdlePlan): Promise<IdleResult> {
  const request = Buffer.from(plan.request, 'latin1')
  const end = Buffer.from(plan.answerEnd, 'latin1')
  let begun = 0
  let open = 0
  let errors = 0
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, waitMs)
    const next = (): void => {
      if (open + errors >= plan.connections) {
        clearTimeout(timer)
        resolve()
      } else if (begun < plan.connections) {
        begun += 1
        // It lives on through its socket.
        void new Client(plan.port, end, user, (client) => client.send(request))
      }
    }
    const user: ClientUser = {
      onAnswer: (_client, isRight) => {
        if (isRight) open += 1
        else errors += 1
        next()
      },
      onEnd: () => {
        errors += 1
        next()
      },
    }
    for (let index = 0; index < openingMax; index += 1) next()
  })
  return { open, errors }
}
