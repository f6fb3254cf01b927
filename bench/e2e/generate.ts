/**
 * Runs the load generator once: a process on the core of the load, one plan, one result.
 */
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { StartedProcess } from '../process-set.ts'
import type { DripPlan, DripResult, GeneratorMessage, IdlePlan, IdleResult, Plan, RatePlan, RateResult } from './generator/plan.ts'
import type { Run } from './run.ts'

const path = fileURLToPath(new URL('./generator/main.js', import.meta.url))

interface ResultOf {
  readonly rate: RateResult
  readonly drip: DripResult
  readonly idle: IdleResult
}
interface PlanOf {
  readonly rate: RatePlan
  readonly drip: DripPlan
  readonly idle: IdlePlan
}

/** The generator and its connections are there until `whileItHolds` is done with the result. */
export async function generate<Kind extends Plan['kind'], Value>(
  run: Run,
  plan: PlanOf[Kind],
  patienceSeconds: number,
  whileItHolds: (result: ResultOf[Kind]) => Promise<Value> | Value,
): Promise<Value> {
  const { processes, cores } = run
  const generator = await processes.start({
    name: 'generator',
    command: process.execPath,
    args: [path],
    core: cores.load,
    withChannel: true,
  })
  try {
    generator.child.send(plan satisfies Plan)
    const message = await nextMessage(generator, patienceSeconds)
    if (message.kind === 'failed') throw new Error(`the load generator failed: ${message.message}`)
    return await whileItHolds(message.result as ResultOf[Kind])
  } finally {
    await processes.end(generator)
  }
}

async function nextMessage(generator: StartedProcess, patienceSeconds: number): Promise<GeneratorMessage> {
  const over = new AbortController()
  const timer = setTimeout(() => over.abort(new Error('the load generator did not finish in time')), patienceSeconds * 1_000)
  void generator.exit.then(() => over.abort(new Error(`the load generator ended: ${generator.stderr.trim().slice(-500)}`)))
  try {
    const [message] = (await once(generator.child, 'message', { signal: over.signal })) as [GeneratorMessage]
    return message
  } catch (error) {
    throw over.signal.aborted ? over.signal.reason : error
  } finally {
    clearTimeout(timer)
  }
}
