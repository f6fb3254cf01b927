/**
 * What the command and its sub-commands have in common: arguments become the values that were given, as they were typed, and a table of
 * flags becomes a yargs parser that completes words. That one is loaded only for this: it is a third of the time to start.
 * Values are read by whoever owns the table, because yargs turns nonsense into NaN and accepts it. It starts nothing and prints nothing.
 */
import type { Argv } from 'yargs'
import parseArguments from 'yargs-parser'
import { ProxyError } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'

export interface Flag {
  readonly name: string
  readonly group: string
  readonly doc: string
  /** A letter that stands for a switch. */
  readonly short?: string
  /** What kind of value it takes, for the help: ADDRESS, FILE, TIME. */
  readonly value?: string
  readonly defaultText?: string
  /** A switch has no value. */
  readonly isSwitch?: true
  readonly isRepeatable?: true
}

export interface CommandTable {
  /** As it is typed, sub-command and all. */
  readonly name: string
  /** What follows the name in the first line of the help; after an empty line, what the command does. */
  readonly usage: string
  readonly flags: readonly Flag[]
  /** Sub-commands, with what they do. */
  readonly commands: readonly (readonly [name: string, doc: string])[]
  /** Arguments that are not flags are taken. */
  readonly takesWords: boolean
  readonly examples: readonly (readonly [args: string, doc: string])[]
}

export interface Given {
  /** Every flag that was given, with its values as typed. */
  readonly values: ReadonlyMap<string, readonly string[]>
  readonly words: readonly string[]
}

/** How words become flags: for reading them, and for completing them. */
const configuration = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'duplicate-arguments-array': true,
  'greedy-arrays': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'short-option-groups': false,
} as const

/** Every command has it. */
export const helpFlag: Flag = { name: 'help', short: 'h', group: 'Other', doc: 'print this', isSwitch: true }

/** Knows the names, for completing them; reading is not its business. */
export async function buildParser(table: CommandTable): Promise<Argv> {
  const { default: yargs } = await import('yargs')
  const parser = yargs([])
    .scriptName(table.name)
    .locale('en')
    .exitProcess(false)
    .help(false)
    .version(false)
    .showHelpOnFail(false)
    .parserConfiguration(configuration)
  for (const [name, doc] of table.commands) parser.command(name, doc)
  for (const flag of table.flags) parser.option(flag.name, { describe: flag.doc, nargs: valuesOf(flag) })
  return parser
}

/** As many values as each flag takes: --check=x and a missing value are refused. */
function valuesOf(flag: Flag): 0 | 1 {
  return flag.isSwitch === true ? 0 : 1
}

/** Throws ProxyError ERR_EPROXY_OPTION for what the table does not know. */
export function readArguments(table: CommandTable, args: readonly string[]): Given {
  const long = spellOut(table, args)
  // First, because yargs stumbles over names such as --constructor.
  refuseUnknownFlags(table, long)
  return split(table, long)
}

/** -h is --help. */
function spellOut({ flags }: CommandTable, args: readonly string[]): string[] {
  const end = args.indexOf('--')
  return args.map((arg, index) => {
    const flag = end === -1 || index < end ? flags.find(({ short }) => short !== undefined && arg === `-${short}`) : undefined
    return flag === undefined ? arg : `--${flag.name}`
  })
}

function refuseUnknownFlags({ name: command, flags }: CommandTable, args: readonly string[]): void {
  const names = flags.map((flag) => flag.name)
  for (const arg of args) {
    if (arg === '--') return
    const name = /^--([^=]+)/.exec(arg)?.[1]
    if (name === undefined || names.includes(name)) continue
    const near = suggest(name, names)
    throw misuse(
      `unknown flag ${quoteArgument(`--${name}`)}${near === undefined ? `; see ${command} --help` : `; did you mean --${near}?`}`,
    )
  }
}

function split({ name: command, flags, commands, takesWords }: CommandTable, args: readonly string[]): Given {
  const narg = Object.fromEntries(flags.map((flag) => [flag.name, valuesOf(flag)]))
  const { argv, error } = parseArguments.detailed([...args], { narg, configuration })
  if (error !== null) throw explainFailure(error.message)
  const { _: positional, ...given } = argv
  const words = positional.map(String)
  if (words[0] !== undefined && !takesWords) throw unexpected(words[0], command, commands, flags)

  const values = new Map<string, readonly string[]>()
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue
    const flag = flags.find((candidate) => candidate.name === name)
    if (flag === undefined) throw misuse(`unknown flag ${quoteArgument(`-${name}`)}; see ${command} --help`)
    const texts = (Array.isArray(value) ? (value as unknown[]) : [value]).map(String)
    if (texts.length > 1 && flag.isRepeatable !== true) throw misuse(`--${name} is given ${texts.length} times`)
    values.set(name, texts)
  }
  return { values, words }
}

function explainFailure(message: string): ProxyError {
  const missing = /^Not enough arguments following: (.*)$/s.exec(message)?.[1]
  if (missing !== undefined) return misuse(`--${missing} needs a value`)
  const superfluous = /^Argument unexpected for: (.*)$/s.exec(message)?.[1]
  return misuse(superfluous === undefined ? message : `--${superfluous} takes no value`)
}

function unexpected(word: string, command: string, commands: CommandTable['commands'], flags: readonly Flag[]): ProxyError {
  const names = commands.map(([name]) => name)
  const near = flags.some(({ name }) => name === word) ? `--${word}` : suggest(word, names)
  if (names.includes(word)) return misuse(`${quoteArgument(word)} is a command: it comes first, and its flags after it`)
  return misuse(`unexpected argument ${quoteArgument(word)}${near === undefined ? `; see ${command} --help` : `; did you mean ${near}?`}`)
}

/** `shown` is what the user gave the value as. */
export function readChoice<T extends string>(
  name: string,
  value: string | undefined,
  choices: readonly T[],
  shown = `--${name}`,
): T | undefined {
  if (value === undefined) return undefined
  const choice = choices.find((candidate) => candidate === value)
  if (choice !== undefined) return choice
  throw misuse(`${shown} must be one of ${choices.join(', ')}, not ${quoteArgument(value)}`)
}

/** The library's message, with the flag that it is about in front. */
export function inWordsOf<T>(name: string, read: () => T, shown = `--${name}`): T {
  try {
    return read()
  } catch (error) {
    throw new ProxyError('ERR_EPROXY_OPTION', `${shown}: ${(error as Error).message}`, error)
  }
}

export function misuse(message: string): ProxyError {
  return new ProxyError('ERR_EPROXY_OPTION', message)
}

export function quoteArgument(text: string): string {
  return /^[-\w.:/]{1,64}$/.test(text) ? text : JSON.stringify(text.slice(0, 64))
}
