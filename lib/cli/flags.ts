/**
 * From the arguments of the command line to settings, or to the text that is to be printed instead: the flags of the proxy, and the way
 * to the sub-commands, which have their own. It starts nothing and prints nothing.
 */
import type { Argv } from 'yargs'
import { isLoopback, readAdminAddress } from '../admin/admin-address.ts'
import type { Override } from '../config/overrides.ts'
import { ProxyError } from '../core/errors.ts'
import {
  forwardedModes,
  halfClosedModes,
  parseListenAddress,
  parseUpstreamAddress,
  resolveOptions,
  reuseModes,
  socketAccesses,
  workersMax,
  type ProxyOptions,
  type Supervision,
} from '../core/options.ts'
import type { AccessLogSettings, AdminOptions } from '../core/service-options.ts'
import type { Unit } from '../core/units.ts'
import { logFormats, logLevels, type LogFormat, type LogLevel } from '../observe/logger.ts'
import { accessLogFlags, readAccessLog } from './access-log-flags.ts'
import {
  buildParser,
  helpFlag,
  inWordsOf,
  misuse,
  quoteArgument,
  readArguments,
  readChoice,
  type CommandTable,
  type Flag,
} from './command-line.ts'
import { completeConformance, readConformanceCommand, type ConformanceCommand } from './conformance-flags.ts'
import { completeExplain, readExplainCommand, type ExplainCommand } from './explain-flags.ts'
import { readEnvironment, variableOf, type Environment } from './environment-flags.ts'
import { toOverrides } from './file-keys.ts'
import { renderHelp } from './help-text.ts'
import { completeRoutes, readRoutesCommand, type RoutesCommand } from './routes-flags.ts'
import { numberFlags, readNumber, type NumberFlag } from './option-tables.ts'
import { readTokenFile } from './token-file.ts'
import { completeTop, readTopCommand, type TopCommand } from './top-flags.ts'

export interface Settings {
  readonly listen: readonly string[]
  readonly options: ProxyOptions
  readonly workers: number | 'auto'
  readonly supervision: Partial<Supervision>
  readonly logLevel: LogLevel
  readonly logFormat: LogFormat
  /** Undefined for none. */
  readonly accessLog: AccessLogSettings | undefined
  readonly admin?: AdminOptions
}

/** A configuration file, and what goes before it. */
export interface ConfigRequest {
  /** Undefined: flags and environment alone. */
  readonly path: string | undefined
  readonly overrides: readonly Override[]
  readonly environment: Environment
}

export type Command =
  | {
      readonly kind: 'run' | 'check'
      /** Of flags and environment. Where there is a file, settings are made of all together. */
      readonly settings: Settings
      readonly config?: ConfigRequest
      /** What is allowed, and probably not meant. */
      readonly warnings: readonly string[]
    }
  | { readonly kind: 'print-config'; readonly config: ConfigRequest; readonly warnings: readonly string[] }
  | { readonly kind: 'print-schema' }
  | ConformanceCommand
  | ExplainCommand
  | TopCommand
  | RoutesCommand
  | { readonly kind: 'version' }
  | { readonly kind: 'print'; readonly text: string }
  | { readonly kind: 'misuse'; readonly message: string }

/** `environment` may hold flags, too: see environment-flags.ts. */
export async function readCommandLine(args: readonly string[], columns = 100, environment: Environment = {}): Promise<Command> {
  try {
    return await read(args, columns, environment)
  } catch (error) {
    if (error instanceof ProxyError) return { kind: 'misuse', message: error.message }
    throw error
  }
}

/** What the script that yargs writes calls us with. */
const completionFlag = '--get-yargs-completions'

const valueOfUnit = { ms: 'TIME', bytes: 'SIZE', 'bytes/s': 'RATE', count: 'N' } as const satisfies Record<Unit, string>

/** In the order of the help: what most need comes first. */
export const proxyFlags: readonly Flag[] = [
  {
    name: 'config',
    value: 'FILE',
    group: 'Configuration',
    doc: 'a file in YAML or JSON; flags and variables of the environment go before it',
  },
  { name: 'check', group: 'Configuration', doc: 'check flags, environment and file, and end', isSwitch: true },
  {
    name: 'print-config',
    group: 'Configuration',
    doc: 'print what holds, and where each value comes from, as such a file',
    isSwitch: true,
  },
  { name: 'print-schema', group: 'Configuration', doc: 'print the JSON Schema of such a file, for editors', isSwitch: true },
  {
    name: 'listen',
    value: 'ADDRESS',
    group: 'Listener',
    doc: 'where to listen: host:port, [v6]:port, :port or unix:path; repeatable',
    defaultText: ':8080',
    isRepeatable: true,
  },
  {
    name: 'half-closed-clients',
    value: 'WHAT',
    group: 'Listener',
    doc: `a client that ends its side before it has its answer: ${halfClosedModes.join(' or ')}`,
    defaultText: 'abort',
  },
  {
    name: 'upstream',
    value: 'ADDRESS',
    group: 'Upstream',
    doc: 'server to forward to: [http://]host:port or unix:path; repeatable',
    defaultText: 'an embedded origin that answers with what it received',
    isRepeatable: true,
  },
  {
    name: 'reuse-after-body',
    value: 'WHO',
    group: 'Upstream',
    doc: `who may use an upstream connection that has carried a request body, or a HEAD: ${reuseModes.join(' or ')}`,
    defaultText: 'same-client',
  },
  ...flagsOf('pool', 'desync'),
  {
    name: 'via',
    value: 'NAME',
    group: 'Forwarding',
    doc: "pseudonym in the field Via, which finds loops too; '' for no Via",
    defaultText: 'eproxy- and 8 random digits',
  },
  { name: 'no-via', group: 'Forwarding', doc: 'the same as --via with an empty name', isSwitch: true },
  {
    name: 'forwarded',
    value: 'WHICH',
    group: 'Forwarding',
    doc: `fields that tell the upstream about the client: ${forwardedModes.join(', ')}`,
    defaultText: 'off',
  },
  { name: 'log-level', value: 'LEVEL', group: 'Logs', doc: `log on standard error: ${logLevels.join(', ')}`, defaultText: 'info' },
  {
    name: 'log-format',
    value: 'FORMAT',
    group: 'Logs',
    doc: `${logFormats.join(', ')}; auto is pretty on a terminal and JSON elsewhere`,
    defaultText: 'auto',
  },
  ...accessLogFlags,
  {
    name: 'admin',
    value: 'ADDRESS',
    group: 'Admin',
    doc: 'where to listen for metrics, the status page and changes: host:port or unix:path, of this machine only',
    defaultText: 'off',
  },
  {
    name: 'admin-token-file',
    value: 'FILE',
    group: 'Admin',
    doc: 'file with the token that whoever changes something has to send',
    defaultText: 'nothing can be changed',
  },
  {
    name: 'admin-public',
    group: 'Admin',
    doc: 'let --admin be an address that other machines can reach: who can reach it sees everything',
    isSwitch: true,
  },
  {
    name: 'workers',
    value: 'N',
    group: 'Workers',
    doc: 'processes that serve, each with an event loop of its own: a number, or auto for one each core',
    defaultText: 'auto',
  },
  ...flagsOf('supervision', 'timeouts', 'limits'),
  {
    name: 'socket-access',
    value: 'HOW',
    group: 'Other',
    doc: `how sockets are driven: ${socketAccesses.join(' or ')}; handles are cheaper, streams use public interfaces of node only`,
    defaultText: 'handles',
  },
  { name: 'version', short: 'V', group: 'Other', doc: 'print the versions of eproxy-raw, node and llhttp', isSwitch: true },
  helpFlag,
]

/** The flags with numbers of these sections. */
function flagsOf(...sections: readonly NumberFlag['section'][]): Flag[] {
  return sections.flatMap((section) =>
    numberFlags
      .filter((flag) => flag.section === section)
      .map(({ name, row, defaultText }) => ({ name, value: valueOfUnit[row.unit], group: row.group, doc: row.doc, defaultText })),
  )
}

const examples = [
  ['--listen :8080', 'answer from the embedded origin, which shows what it received'],
  ['--upstream 127.0.0.1:3000 --upstream 127.0.0.1:3001', 'share requests between two servers'],
  ['--listen unix:/run/eproxy.sock --upstream unix:/run/app.sock', 'from one socket file to another'],
  ['--upstream app:3000 --forwarded both --access-log -', 'tell the server about its clients, and log each exchange'],
  ['--config eproxy.yaml', 'routes, groups of servers and more; reloaded on SIGHUP and when the file changes'],
  ['--upstream app:3000 --timeout-response-head 5m --limit-request-line-bytes 16k', 'other bounds'],
] as const

const proxyTable: CommandTable = {
  name: 'eproxy-raw',
  usage: [
    '[flags]',
    '',
    'HTTP/1.1 reverse proxy on raw TCP: strict, bounded, byte-exact.',
    'TIME is written as 250ms, 10s, 1h30m; SIZE as 512, 64k, 1m; RATE as 240/s, 64k/s.',
    'A flag with a value can be given in the environment: EPROXY_LOG_LEVEL for --log-level.',
    'Exit code: 0 done, or stopped by a signal; 1 it could not run; 2 wrong flags, variables or file;',
    '130 and 143 ended at once by a second signal.',
  ].join('\n'),
  flags: proxyFlags,
  commands: [
    ['conformance', 'judge eproxy, another proxy or a server by the cases of RFC 9110 and 9112'],
    ['top', 'show how a running proxy does, in this terminal'],
    ['explain', 'say what a rule refuses and why, with an example'],
    ['routes', 'list the routes of a configuration, or explain the way of a request'],
    ['completion', 'print a completion script for bash or zsh'],
  ],
  takesWords: false,
  examples,
}

const shells = ['bash', 'zsh'] as const

const completionTable: CommandTable = {
  name: 'eproxy-raw completion',
  usage: ['[bash|zsh]', '', 'Prints a completion script; without a name, for the shell that SHELL names.'].join('\n'),
  flags: [helpFlag],
  commands: [],
  takesWords: true,
  examples: [
    ['bash >> ~/.bashrc', 'from the next start of bash on'],
    ['zsh >> ~/.zshrc', 'the same for zsh'],
  ],
}

async function read(args: readonly string[], columns: number, environment: Environment): Promise<Command> {
  if (args[0] === completionFlag) return { kind: 'print', text: await completeWord(args.slice(1)) }
  if (args[0] === 'conformance') return readConformanceCommand(args.slice(1), columns)
  if (args[0] === 'top') return readTopCommand(args.slice(1), columns)
  if (args[0] === 'explain') return readExplainCommand(args.slice(1), columns)
  if (args[0] === 'routes') return readRoutesCommand(args.slice(1), columns, environment)
  if (args[0] === 'completion') return readCompletionCommand(args.slice(1), columns)
  // As git and npm have it.
  if (args[0] === 'help') return read([...args.slice(1), '--help'], columns, environment)
  const { values } = readArguments(proxyTable, args)
  if (values.has('help')) return { kind: 'print', text: renderHelp(proxyTable, columns) }
  if (values.has('version')) return { kind: 'version' }
  if (values.has('print-schema')) return { kind: 'print-schema' }
  const { values: variables, warnings } = readEnvironment(environment, proxyFlags)
  const given = new Map(variables)
  // The two are one thing, and a flag goes before the environment.
  if (values.has('via') || values.has('no-via')) given.delete('via')
  for (const [name, texts] of values) given.set(name, texts)
  const shown = (name: string): string => (values.has(name) ? `--${name}` : variableOf(name))
  const settings = readSettings(given, shown)
  const path = given.get('config')?.[0]
  if (path === '') throw misuse(`${shown('config')} needs a file name`)
  const config = { path, overrides: toOverrides(given, shown), environment }
  if (values.has('print-config')) return { kind: 'print-config', config, warnings }
  return { kind: values.has('check') ? 'check' : 'run', settings, ...(path !== undefined && { config }), warnings }
}

async function readCompletionCommand(args: readonly string[], columns: number): Promise<Command> {
  const { values, words } = readArguments(completionTable, args)
  if (values.has('help')) return { kind: 'print', text: renderHelp(completionTable, columns) }
  if (words.length > 1) throw misuse('completion takes one shell at a time')
  const shell = words[0] === undefined ? undefined : readChoice('shell', words[0], shells, 'the shell')
  return { kind: 'print', text: await captureScript(shell) }
}

async function buildProxyParser(): Promise<Argv> {
  const commands = proxyTable.commands.filter(([name]) => name !== 'completion')
  const parser = await buildParser({ ...proxyTable, commands })
  return parser.completion('completion', 'print a completion script for bash or zsh')
}

/** The completion script asks with the words so far, of which the last is to be completed. */
async function completeWord(words: readonly string[]): Promise<string> {
  const [name] = words.slice(1)
  // Only a finished word is a command.
  if (words.length > 2 && name === 'conformance') return completeConformance(words.slice(1))
  if (words.length > 2 && name === 'explain') return completeExplain(words.slice(1))
  if (words.length > 2 && name === 'routes') return completeRoutes(words.slice(1))
  if (words.length > 2 && name === 'top') return completeTop(words.slice(1))
  const completions = await (await buildProxyParser()).getCompletion([...words])
  return `${completions.join('\n')}\n`
}

/** yargs looks at SHELL and ZSH_NAME when its parser is made. */
async function captureScript(shell: (typeof shells)[number] | undefined): Promise<string> {
  const { SHELL, ZSH_NAME } = process.env
  if (shell !== undefined) setVariables({ SHELL: shell, ZSH_NAME: undefined })
  try {
    const parser = await buildProxyParser()
    return await new Promise<string>((resolve, reject) => {
      void parser.parse(['completion'], {}, (error: Error | undefined, _values: unknown, output: string) =>
        error instanceof Error ? reject(error) : resolve(`${output}\n`),
      )
    })
  } finally {
    setVariables({ SHELL, ZSH_NAME })
  }
}

function setVariables(values: Record<string, string | undefined>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
}

function readSettings(values: ReadonlyMap<string, readonly string[]>, shown: (name: string) => string): Settings {
  const text = (name: string): string | undefined => values.get(name)?.[0]
  const choice = <T extends string>(name: string, choices: readonly T[]): T | undefined =>
    readChoice(name, text(name), choices, shown(name))
  const sections: Record<NumberFlag['section'], Record<string, number>> = {
    timeouts: {},
    limits: {},
    pool: {},
    desync: {},
    supervision: {},
  }
  for (const flag of numberFlags) {
    const value = text(flag.name)
    if (value !== undefined) sections[flag.section][flag.key] = readNumber(flag, value, shown(flag.name))
  }
  if (values.has('via') && values.has('no-via')) throw misuse('--via and --no-via exclude each other')
  const via = values.has('no-via') ? '' : text('via')
  const forwarded = choice('forwarded', forwardedModes)
  const halfClosedClients = choice('half-closed-clients', halfClosedModes)
  const socketAccess = choice('socket-access', socketAccesses)
  const reuseAfterBody = choice('reuse-after-body', reuseModes)
  const listen = values.get('listen') ?? [':8080']
  for (const address of listen) inWordsOf('listen', () => parseListenAddress(address), shown('listen'))
  const upstreams = values.get('upstream') ?? []
  for (const address of upstreams) inWordsOf('upstream', () => parseUpstreamAddress(address), shown('upstream'))
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
  inWordsOf('via', () => resolveOptions(options, 'eproxy'), shown('via'))
  const admin = readAdmin(text('admin'), text('admin-token-file'), values.has('admin-public'), values.has('config'))
  return {
    listen,
    options,
    workers: readWorkers(text('workers'), shown('workers')),
    supervision,
    logLevel: choice('log-level', logLevels) ?? 'info',
    logFormat: choice('log-format', logFormats) ?? 'auto',
    accessLog: readAccessLog(values, shown),
    ...(admin !== undefined && { admin }),
  }
}

/** With a file, the address may stand there. */
function readAdmin(
  address: string | undefined,
  tokenFile: string | undefined,
  isPublic: boolean,
  hasFile: boolean,
): AdminOptions | undefined {
  if (address === undefined) {
    if (!hasFile && (tokenFile !== undefined || isPublic))
      throw misuse('--admin-token-file and --admin-public say more about --admin, which is not given')
    return undefined
  }
  const parsed = inWordsOf('admin', () => readAdminAddress({ address, public: true }))
  if (!isPublic && parsed.kind === 'tcp' && !isLoopback(parsed.host))
    throw misuse(
      `--admin ${quoteArgument(address)} can be reached from other machines; use 127.0.0.1:PORT, or add --admin-public if that is meant`,
    )
  return { address, public: isPublic, token: tokenFile === undefined ? '' : readTokenFile(tokenFile) }
}

function readWorkers(value = 'auto', shown: string): number | 'auto' {
  if (value === 'auto') return value
  const count = Number(value)
  if (/^[0-9]+$/.test(value) && count >= 1 && count <= workersMax) return count
  throw misuse(`${shown} must be auto or a whole number from 1 to ${workersMax}, not ${quoteArgument(value)}`)
}
