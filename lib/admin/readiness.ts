/** Whether requests may be sent here: what a load balancer or an orchestrator asks. Pure. */
import type { GroupStats, UpstreamStats } from '../index.ts'
import { labelGroup } from './server-name.ts'

/** Why it is not ready, in words; none when it is. */
export function judgeReadiness({ total, workers }: Pick<GroupStats, 'total' | 'workers'>, isDraining: boolean): readonly string[] {
  const reasons: string[] = []
  const groups = Object.entries(total.groups)
  if (isDraining) reasons.push('draining')
  if (workers.length > 0 && workers.every(({ state }) => state !== 'ready')) reasons.push('no worker is ready')
  else if (!total.isListening) reasons.push('not listening yet')
  for (const [name, { selection }] of groups)
    if (wordsOf(selection).every((word) => word === 'none')) reasons.push(`no server of group ${labelGroup(name)} is usable`)
  return reasons
}

/** It gets new exchanges, in one worker at least. */
export function isUsable({ state }: UpstreamStats): boolean {
  return wordsOf(state).includes('up')
}

/** The sum of workers that do not agree says all that they say. */
function wordsOf(text: string): readonly string[] {
  return text.split(' | ')
}
