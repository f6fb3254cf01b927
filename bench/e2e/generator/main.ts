/**
 * The load generator: a child process of the bench that runs one plan and reports one result. It ends
 * when the channel to the bench does, and its connections with it.
 */
import assert from 'node:assert/strict'
import { runDrip } from './drip.ts'
import { runIdle } from './idle.ts'
import type { GeneratorMessage, Plan } from './plan.ts'
import { runRate } from './rate.ts'

assert(process.send !== undefined, 'the generator is started by the bench, with a message channel')
process.once('disconnect', () => process.exit(0))
// An interrupt from the terminal reaches the whole group; the bench ends its children itself and in order.
process.on('SIGINT', () => {})
process.once('message', (plan: Plan) => {
  execute(plan).then(
    (result) => send({ kind: 'result', result }),
    (error: unknown) => send({ kind: 'failed', message: error instanceof Error ? error.message : String(error) }),
  )
})

function execute(plan: Plan) {
  switch (plan.kind) {
    case 'rate':
      return runRate(plan)
    case 'drip':
      return runDrip(plan)
    case 'idle':
      return runIdle(plan)
  }
}

function send(message: GeneratorMessage): void {
  process.send?.(message)
}
