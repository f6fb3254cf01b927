/** Which rules of the strictness table are to be broken with no more than a line in the log, on a listener and on a route of it. */
import { fixedReasons, looseRules, ruleTable, type Rule, type RuleId } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'
import type { RuleActions } from '../core/service-options.ts'

/** What is wrong with an action for a rule, in words for whoever wrote it; '' when nothing is. */
export function findActionFault(rule: string, action: string): string {
  if (!Object.hasOwn(ruleTable, rule)) return `there is no rule ${rule}`
  if (action !== 'reject' && action !== 'warn') return `${rule} can be reject or warn, not ${action}`
  const { fixed } = ruleTable[rule as RuleId] as Rule
  if (action === 'reject' || fixed === undefined) return ''
  return `${rule} cannot be loosened: ${fixedReasons[fixed]}. Those that can are ${[...looseRules].join(', ')}`
}

/** Throws ProxyError ERR_EPROXY_OPTION. `place`: where the actions stand, for people. */
export function checkRuleActions(actions: RuleActions, place: string): void {
  for (const [rule, action] of Object.entries(actions)) {
    const fault = findActionFault(rule, action)
    if (fault !== '') throw new ProxyError('ERR_EPROXY_OPTION', `${place}: ${fault}`)
  }
}

/** The rules that only warn, of a route whose own actions go before those of its listener. Both have been checked. */
export function toleratedRules(listener: RuleActions = {}, route: RuleActions = {}): ReadonlySet<RuleId> {
  const actions = { ...listener, ...route }
  return new Set((Object.keys(actions) as RuleId[]).filter((rule) => actions[rule] === 'warn'))
}
