/** The arguments of `eproxy-raw conformance`: who is judged, by which cases, and where the report goes. */
import type { Endpoint } from '../conformance/client.ts'
import { parseDuration } from '../core/units.ts'
import { buildParser, helpFlag, inWordsOf, misuse, quoteArgument, readArguments, type CommandTable } from './command-line.ts'
import { renderHelp } from './help-text.ts'

export interface ConformanceSettings {
  readonly subject:
    | { readonly kind: 'own' }
    | { readonly kind: 'proxy'; readonly endpoint: Endpoint; readonly originHost: string; readonly originPort: number }
    | { readonly kind: 'server'; readonly endpoint: Endpoint }
  /** Groups, globs or parts of ids; none for all cases. */
  readonly patterns: readonly string[]
  /** Paths, '-' for standard output. */
  readonly json: string | undefined
  readonly junit: string | undefined
  readonly concurrency: number
  readonly timeoutMs: number
  readonly describesAll: boolean
}

export type ConformanceCommand =
  | { readonly kind: 'conformance'; readonly settings: ConformanceSettings }
  | { readonly kind: 'list-cases'; readonly patterns: readonly string[] }
  | { readonly kind: 'print'; readonly text: string }

const concurrencyMax = 64
const timeoutMsMin = 50
const timeoutMsMax = 60_000

const table: CommandTable = {
  name: 'eproxy-raw conformance',
  usage: [
    '[flags] [PATTERN...]',
    '',
    'Sends good, doubtful and hostile messages through a proxy, looks at what comes out at both ends, and judges it.',
    'Without --target and --server a fresh eproxy is judged. PATTERN is a group, a glob (host/*), or a part of an id.',
    'Exit code: 0 all passed, 1 some failed or could not be judged, 2 wrong arguments.',
  ].join('\n'),
  flags: [
    {
      name: 'target',
      value: 'HOST:PORT',
      group: 'Subject',
      doc: 'judge the proxy at host:port, which forwards everything to the port of --origin-port',
    },
    { name: 'origin-port', value: 'PORT', group: 'Subject', doc: 'where the origin of the suite listens for that proxy' },
    {
      name: 'origin-host',
      value: 'HOST',
      group: 'Subject',
      doc: 'address of this machine to listen on for that proxy',
      defaultText: '127.0.0.1',
    },
    {
      name: 'server',
      value: 'HOST:PORT',
      group: 'Subject',
      doc: 'judge the origin server at host:port, by the cases that say something about one',
    },
    { name: 'only', value: 'PATTERN', group: 'Cases', doc: 'the same as PATTERN; repeatable', isRepeatable: true },
    { name: 'list', group: 'Cases', doc: 'list the cases and end', isSwitch: true },
    { name: 'concurrency', value: 'N', group: 'Cases', doc: 'cases side by side', defaultText: '8' },
    { name: 'timeout', value: 'TIME', group: 'Cases', doc: 'patience for one exchange', defaultText: '1200ms' },
    { name: 'all', group: 'Report', doc: 'describe the cases that passed, too', isSwitch: true },
    { name: 'json', value: 'FILE', group: 'Report', doc: 'write everything that was seen to this file, - for standard output' },
    { name: 'junit', value: 'FILE', group: 'Report', doc: 'write JUnit XML to this file, - for standard output' },
    helpFlag,
  ],
  commands: [],
  takesWords: true,
  examples: [
    ['', 'judge eproxy itself'],
    ["chunk-size 'res-*'", 'only these groups'],
    ['--target 127.0.0.1:8080 --origin-port 9000', 'judge a proxy that forwards to 127.0.0.1:9000'],
    ['--server 127.0.0.1:3000 --junit report.xml', 'judge a server, for a build system'],
  ],
}

/** Throws ProxyError ERR_EPROXY_OPTION. */
export async function readConformanceCommand(args: readonly string[], columns: number): Promise<ConformanceCommand> {
  const { values, words } = readArguments(table, args)
  if (values.has('help')) return { kind: 'print', text: renderHelp(table, columns) }
  const patterns = [...words, ...(values.get('only') ?? [])]
  if (patterns.includes('')) throw misuse('a pattern is empty')
  if (values.has('list')) return { kind: 'list-cases', patterns }
  const text = (name: string): string | undefined => values.get(name)?.[0]
  for (const name of ['json', 'junit']) if (text(name) === '') throw misuse(`--${name} needs a file name, or - for standard output`)
  if (text('json') === '-' && text('junit') === '-') throw misuse('--json and --junit cannot both go to standard output')
  return {
    kind: 'conformance',
    settings: {
      subject: readSubject(text),
      patterns,
      json: text('json'),
      junit: text('junit'),
      concurrency: readCount('concurrency', text('concurrency') ?? '8', 1, concurrencyMax),
      timeoutMs: readTimeout(text('timeout') ?? '1200ms'),
      describesAll: values.has('all'),
    },
  }
}

/** The words so far begin with the name of the command; the last one is to be completed. */
export async function completeConformance(words: readonly string[]): Promise<string> {
  const completions = await (await buildParser(table)).getCompletion([...words])
  if (words.at(-1)?.startsWith('-') === true) return `${completions.join('\n')}\n`
  // The cases are read only when somebody asks for them.
  const { loadCases } = await import('../conformance/case-format.ts')
  return `${[...new Set(loadCases().map(({ group }) => group))].join('\n')}\n`
}

function readSubject(text: (name: string) => string | undefined): ConformanceSettings['subject'] {
  const target = text('target')
  const server = text('server')
  const originPort = text('origin-port')
  if (target !== undefined && server !== undefined) throw misuse('--target and --server exclude each other')
  if (target === undefined) {
    if (originPort !== undefined || text('origin-host') !== undefined) throw misuse('--origin-port and --origin-host need --target')
    return server === undefined ? { kind: 'own' } : { kind: 'server', endpoint: readEndpoint('server', server) }
  }
  if (originPort === undefined) throw misuse('--target needs --origin-port, the port to which that proxy forwards')
  return {
    kind: 'proxy',
    endpoint: readEndpoint('target', target),
    originHost: text('origin-host') ?? '127.0.0.1',
    originPort: readCount('origin-port', originPort, 1, 65_535),
  }
}

function readEndpoint(name: string, text: string): Endpoint {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/[\]]+)):([0-9]{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  if (host === undefined) throw misuse(`--${name} must be host:port or [v6]:port, not ${quoteArgument(text)}`)
  return { host, port: readCount(name, match?.[3] ?? '', 1, 65_535) }
}

function readCount(name: string, text: string, min: number, max: number): number {
  const value = Number(text)
  if (!/^[0-9]+$/.test(text) || value < min || value > max)
    throw misuse(`--${name} must be a number from ${min} to ${max}, not ${quoteArgument(text)}`)
  return value
}

function readTimeout(text: string): number {
  const value = inWordsOf('timeout', () => parseDuration(text))
  if (value < timeoutMsMin || value > timeoutMsMax) throw misuse('--timeout must be from 50ms to 60s')
  return value
}
