/**
 * From the arguments of the command line to settings, or to the text that is to be printed instead. yargs splits the arguments and
 * writes the help and the completion script; every value reaches us as the text that was typed and is read here, because yargs turns
 * nonsense into NaN and accepts it. It starts nothing and prints nothing.
 */
import yargs, { type Argv } from 'yargs'
import { ProxyError } from '../core/errors.ts'
import {
  parseListenAddress,
  parseUpstreamAddress,
  resolveOptions,
  workersMax,
  type ForwardedMode,
  type HalfClosedClients,
  type SocketAccess,
  type ProxyOptions,
  type ReuseAfterBody,
  type Supervision,
} from '../core/options.ts'
import { logFormats, logLevels, type LogFormat, type LogLevel } from './logger.ts'
import { numberFlags, readNumber, type NumberFlag } from './option-tables.ts'
import { suggest } from './suggest.ts'

export interface Settings {
  readonly listen: readonly string[]
  readonly options: ProxyOptions
  readonly workers: number | 'auto'
  readonly supervision: Partial<Supervision>
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
  /** A path, '-' for standard output, undefined for none. */
  readonly accessLog: string | undefined
}

export type Command =
  | { readonly kind: 'run' | 'check'; readonly settings: Settings }
  | { readonly kind: 'version' }
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'misuse'; readonly message: string }

export async function readCommandLine(args: readonly string[], columns = 100): Promise<Command> {
  try {
    return await read(args, columns)
  } catch (error) {
    if (error instanceof ProxyError) return { kind: 'misuse', message: error.message }
    throw error
  }
}

interface Flag {
  readonly name: string
  readonly group: 'Listener' | 'Upstream' | 'Timers' | 'Limits' | 'Workers' | 'Forwarding' | 'Logs' | 'Other'
  readonly doc: string
  readonly defaultText?: string
  /** A switch has no value. */
  readonly isSwitch?: true
  readonly isRepeatable?: true
}

const forwardedModes = ['off', 'x-forwarded', 'forwarded', 'both'] as const satisfies readonly ForwardedMode[]
const halfClosedModes = ['abort', 'serve'] as const satisfies readonly HalfClosedClients[]
const socketAccesses = ['handles', 'streams'] as const satisfies readonly SocketAccess[]
const reuseModes = ['same-client', 'anyone'] as const satisfies readonly ReuseAfterBody[]
/** What the script that yargs writes calls us with. */
const completionFlag = '--get-yargs-completions'

const flags: readonly Flag[] = [
  {
    name: 'listen',
    group: 'Listener',
    doc: 'where to listen: host:port, [v6]:port, :port or unix:path; repeatable',
    defaultText: ':8080',
    isRepeatable: true,
  },
  {
    name: 'half-closed-clients',
    group: 'Listener',
    doc: `a client that ends its side before it has its answer: ${halfClosedModes.join(' or ')}`,
    defaultText: 'abort',
  },
  {
    name: 'socket-access',
    group: 'Other',
    doc: `how sockets are driven: ${socketAccesses.join(' or ')}; handles are cheaper, streams use public interfaces of node only`,
    defaultText: 'handles',
  },
  {
    name: 'workers',
    group: 'Workers',
    doc: 'processes that serve, each with an event loop of its own: a number, or auto for one each core',
    defaultText: 'auto',
  },
  {
    name: 'upstream',
    group: 'Upstream',
    doc: 'server to forward to: [http://]host:port or unix:path; repeatable',
    defaultText: 'an embedded origin that answers with what it received',
    isRepeatable: true,
  },
  {
    name: 'reuse-after-body',
    group: 'Upstream',
    doc: `who may use an upstream connection that has carried a request body, or a HEAD: ${reuseModes.join(' or ')}`,
    defaultText: 'same-client',
  },
  ...numberFlags.map((flag): Flag => ({ name: flag.name, group: flag.row.group, doc: flag.row.doc, defaultText: flag.defaultText })),
  {
    name: 'via',
    group: 'Forwarding',
    doc: "pseudonym in the field Via, which finds loops too; '' for no Via",
    defaultText: 'eproxy- and 8 random digits',
  },
  { name: 'no-via', group: 'Forwarding', doc: 'the same as --via with an empty name', isSwitch: true },
  {
    name: 'forwarded',
    group: 'Forwarding',
    doc: `fields that tell the upstream about the client: ${forwardedModes.join(', ')}`,
    defaultText: 'off',
  },
  { name: 'log-level', group: 'Logs', doc: `log on standard error: ${logLevels.join(', ')}`, defaultText: 'info' },
  {
    name: 'log-format',
    group: 'Logs',
    doc: `${logFormats.join(', ')}; auto is pretty on a terminal and JSON elsewhere`,
    defaultText: 'auto',
  },
  {
    name: 'access-log',
    group: 'Logs',
    doc: 'a JSON line for each exchange to this file, - for standard output; SIGUSR2 reopens it',
    defaultText: 'off',
  },
  { name: 'check', group: 'Other', doc: 'check the flags and end', isSwitch: true },
  { name: 'version', group: 'Other', doc: 'print the versions of eproxy-raw, node and llhttp', isSwitch: true },
  { name: 'help', group: 'Other', doc: 'print this', isSwitch: true },
]

const examples = [
  ['--listen :8080', 'answer from the embedded origin, which shows what it received'],
  ['--upstream 127.0.0.1:3000 --upstream 127.0.0.1:3001', 'share requests between two servers'],
  ['--listen unix:/run/eproxy.sock --upstream unix:/run/app.sock', 'from one socket file to another'],
  ['--upstream app:3000 --forwarded both --access-log -', 'tell the server about its clients, and log each exchange'],
  ['--upstream app:3000 --timeout-response-head 5m --limit-request-line-bytes 16k', 'other bounds'],
] as const

async function read(args: readonly string[], columns: number): Promise<Command> {
  const parser = buildParser(columns)
  if (args[0] === completionFlag) return { kind: 'print', text: await completeWord(parser, args.slice(1)) }
  if (args[0] === 'completion' && args.length === 1) return { kind: 'print', text: await captureScript(parser) }
  // Before yargs, because yargs stumbles over names such as --constructor.
  refuseUnknownFlags(args)
  const values = await split(parser, args)
  if (values.has('help')) return { kind: 'print', text: `${await parser.getHelp()}\n` }
  if (values.has('version')) return { kind: 'version' }
  const settings = readSettings(values)
  return { kind: values.has('check') ? 'check' : 'run', settings }
}

function buildParser(columns: number): Argv {
  const parser = yargs([])
    .scriptName('eproxy-raw')
    .locale('en')
    .exitProcess(false)
    .help(false)
    .version(false)
    .showHelpOnFail(false)
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'duplicate-arguments-array': true,
      'greedy-arrays': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'short-option-groups': false,
    })
    .wrap(columns)
    .usage(
      'eproxy-raw [flags]\n\nHTTP/1.1 reverse proxy on raw TCP: strict, bounded, byte-exact.\nDurations are written as 250ms, 10s, 1h30m; sizes as 512, 64k, 1m.',
    )
    .completion('completion', 'print a completion script for bash or zsh')
    .epilogue(`Examples:\n${examples.map(([command, what]) => `  eproxy-raw ${command}\n      ${what}`).join('\n')}`)
  for (const flag of flags) {
    const given = flag.defaultText === undefined ? {} : { defaultDescription: flag.defaultText }
    // nargs 0 and 1 without a type: yargs refuses --check=x and a missing value, and the help shows no "[string]".
    parser.option(flag.name, { group: `${flag.group}:`, describe: flag.doc, nargs: flag.isSwitch === true ? 0 : 1, ...given })
  }
  return parser
}

/** The completion script asks with the words so far, of which the last is to be completed. */
async function completeWord(parser: Argv, words: readonly string[]): Promise<string> {
  const completions = await parser.getCompletion([...words])
  return `${completions.join('\n')}\n`
}

async function captureScript(parser: Argv): Promise<string> {
  return new Promise((resolve, reject) => {
    void parser.parse(['completion'], {}, (error: Error | undefined, _values: unknown, output: string) =>
      error instanceof Error ? reject(error) : resolve(`${output}\n`),
    )
  })
}

function refuseUnknownFlags(args: readonly string[]): void {
  const names = flags.map((flag) => flag.name)
  for (const arg of args) {
    if (arg === '--') return
    const name = /^--([^=]+)/.exec(arg)?.[1]
    if (name === undefined || names.includes(name)) continue
    const near = suggest(name, names)
    throw misuse(`unknown flag ${quote(`--${name}`)}${near === undefined ? '; see eproxy-raw --help' : `; did you mean --${near}?`}`)
  }
}

/** Every flag that was given, with its values as typed. Positional arguments are refused. */
async function split(parser: Argv, args: readonly string[]): Promise<Map<string, readonly string[]>> {
  let failure: string | undefined
  parser.fail((message: string | undefined, error: Error | undefined) => {
    failure ??= message ?? error?.message ?? 'the arguments cannot be read'
  })
  const { _: positional, ...given } = await parser.parseAsync(args)
  const missing = /^Not enough arguments following: (.*)$/s.exec(failure ?? '')?.[1]
  if (missing !== undefined) throw misuse(`--${missing} needs a value`)
  const superfluous = /^Argument unexpected for: (.*)$/s.exec(failure ?? '')?.[1]
  if (superfluous !== undefined) throw misuse(`--${superfluous} takes no value`)
  if (failure !== undefined) throw misuse(failure)
  if (positional.length > 0) throw misuse(`unexpected argument ${quote(String(positional[0]))}; see eproxy-raw --help`)

  const values = new Map<string, readonly string[]>()
  for (const [name, value] of Object.entries(given)) {
    // $0 is the name of the script.
    if (name === '$0' || value === undefined) continue
    const flag = flags.find((candidate) => candidate.name === name)
    if (flag === undefined) throw misuse(`unknown flag ${quote(`-${name}`)}; see eproxy-raw --help`)
    const texts = (Array.isArray(value) ? value : [value]).map(String)
    if (texts.length > 1 && flag.isRepeatable !== true) throw misuse(`--${name} is given ${texts.length} times`)
    values.set(name, texts)
  }
  return values
}

function readSettings(values: ReadonlyMap<string, readonly string[]>): Settings {
  const text = (name: string): string | undefined => values.get(name)?.[0]
  const sections: Record<NumberFlag['section'], Record<string, number>> = {
    timeouts: {},
    limits: {},
    pool: {},
    desync: {},
    supervision: {},
  }
  for (const flag of numberFlags) {
    const value = text(flag.name)
    if (value !== undefined) sections[flag.section][flag.key] = readNumber(flag, value)
  }
  if (values.has('via') && values.has('no-via')) throw misuse('--via and --no-via exclude each other')
  const via = values.has('no-via') ? '' : text('via')
  const forwarded = readChoice('forwarded', text('forwarded'), forwardedModes)
  const halfClosedClients = readChoice('half-closed-clients', text('half-closed-clients'), halfClosedModes)
  const socketAccess = readChoice('socket-access', text('socket-access'), socketAccesses)
  const reuseAfterBody = readChoice('reuse-after-body', text('reuse-after-body'), reuseModes)
  const accessLog = text('access-log')
  if (accessLog === '') throw misuse('--access-log needs a file name, or - for standard output')
  const listen = values.get('listen') ?? [':8080']
  for (const address of listen) inWordsOf('listen', () => parseListenAddress(address))
  const upstreams = values.get('upstream') ?? []
  for (const address of upstreams) inWordsOf('upstream', () => parseUpstreamAddress(address))
  const { supervision, ...numbers } = sections
  const options: ProxyOptions = {
    upstreams,
    ...numbers,
    ...(via === undefined ? {} : { via }),
    ...(forwarded === undefined ? {} : { forwarded }),
    ...(halfClosedClients === undefined ? {} : { halfClosedClients }),
    ...(socketAccess === undefined ? {} : { socketAccess }),
    ...(reuseAfterBody === undefined ? {} : { reuseAfterBody }),
  }
  inWordsOf('via', () => resolveOptions(options, 'eproxy'))
  return {
    listen,
    options,
    workers: readWorkers(text('workers')),
    supervision,
    logLevel: readChoice('log-level', text('log-level'), logLevels) ?? 'info',
    logFormat: readChoice('log-format', text('log-format'), logFormats) ?? 'auto',
    accessLog,
  }
}

function readWorkers(value = 'auto'): number | 'auto' {
  if (value === 'auto') return value
  const count = Number(value)
  if (/^[0-9]+$/.test(value) && count >= 1 && count <= workersMax) return count
  throw misuse(`--workers must be auto or a whole number from 1 to ${workersMax}, not ${quote(value)}`)
}

function readChoice<T extends string>(name: string, value: string | undefined, choices: readonly T[]): T | undefined {
  if (value === undefined) return undefined
  const choice = choices.find((candidate) => candidate === value)
  if (choice !== undefined) return choice
  throw misuse(`--${name} must be one of ${choices.join(', ')}, not ${quote(value)}`)
}

/** The library's message, with the flag that it is about in front. */
function inWordsOf(name: string, check: () => void): void {
  try {
    check()
  } catch (error) {
    throw new ProxyError('ERR_EPROXY_OPTION', `--${name}: ${(error as Error).message}`, error)
  }
}

function misuse(message: string): ProxyError {
  return new ProxyError('ERR_EPROXY_OPTION', message)
}

function quote(text: string): string {
  return /^[-\w.:/]{1,64}$/.test(text) ? text : JSON.stringify(text.slice(0, 64))
}
