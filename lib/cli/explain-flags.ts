/** The arguments of `eproxy-raw explain`: which rules are asked about. */
import { ruleTable, type RuleId } from '../../native-free-parser/index.ts'
import { suggest } from '../core/suggest.ts'
import { buildParser, helpFlag, misuse, quoteArgument, readArguments, type CommandTable } from './command-line.ts'
import { renderHelp } from './help-text.ts'

export type ExplainCommand =
  | {
      readonly kind: 'explain'
      /** None: list all. */
      readonly rules: readonly RuleId[]
    }
  | { readonly kind: 'print'; readonly text: string }

export const ruleIds = Object.keys(ruleTable) as readonly RuleId[]

const table: CommandTable = {
  name: 'eproxy-raw explain',
  usage: [
    '[RULE...]',
    '',
    'Says what a rule refuses, why, and where it is written, and shows a message that breaks it and one that does not quite.',
    'Without RULE all are listed. A refusal names its rule in the body, in Proxy-Status and in the access log.',
  ].join('\n'),
  flags: [helpFlag],
  commands: [],
  takesWords: true,
  examples: [
    ['', 'list all rules'],
    ['H1-CL-AND-TE', 'one rule; case does not matter'],
  ],
}

/** Throws ProxyError ERR_EPROXY_OPTION. */
export async function readExplainCommand(args: readonly string[], columns: number): Promise<ExplainCommand> {
  const { values, words } = readArguments(table, args)
  if (values.has('help')) return { kind: 'print', text: renderHelp(table, columns) }
  return { kind: 'explain', rules: words.map(readRule) }
}

/** The words so far begin with the name of the command; the last one is to be completed. */
export async function completeExplain(words: readonly string[]): Promise<string> {
  const completions = words.at(-1)?.startsWith('-') === true ? await (await buildParser(table)).getCompletion([...words]) : ruleIds
  return `${completions.join('\n')}\n`
}

function readRule(word: string): RuleId {
  const wanted = word.toUpperCase()
  const found = ruleIds.find((id) => id === wanted || id === `H1-${wanted}`)
  if (found !== undefined) return found
  const longer = ruleIds.filter((id) => wanted !== '' && (id.startsWith(wanted) || id.startsWith(`H1-${wanted}`)))
  if (longer.length > 0 && longer.length <= 10) throw misuse(`there is no rule ${quoteArgument(word)}; there are ${longer.join(', ')}`)
  const near = longer.length > 0 ? undefined : (suggest(wanted, ruleIds) ?? suggest(`H1-${wanted}`, ruleIds))
  throw misuse(
    `there is no rule ${quoteArgument(word)}${near === undefined ? '; eproxy-raw explain lists all' : `; did you mean ${near}?`}`,
  )
}
