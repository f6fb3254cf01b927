/** The arguments of `eproxy-raw routes`: which configuration, and which request is asked about. */
import { variableOf, type Environment } from './environment-flags.ts'
import { buildParser, helpFlag, misuse, quoteArgument, readArguments, type CommandTable } from './command-line.ts'
import { renderHelp } from './help-text.ts'

export type RoutesCommand =
  | {
      readonly kind: 'routes'
      readonly path: string
      /** The head of a request, undefined to list all routes. */
      readonly request: string | undefined
      readonly isJson: boolean
    }
  | { readonly kind: 'print'; readonly text: string }

const table: CommandTable = {
  name: 'eproxy-raw routes',
  usage: [
    '--config FILE [--explain REQUEST [-H FIELD]...] [--json]',
    '',
    'Lists the routes of a configuration in the order in which they are tried, or says which of them a request takes and why not another.',
    'Nothing is started, and nothing is sent.',
  ].join('\n'),
  flags: [
    { name: 'config', value: 'FILE', group: 'Configuration', doc: 'the file, in YAML or JSON' },
    {
      name: 'explain',
      value: 'REQUEST',
      group: 'Request',
      doc: "method and URL, such as 'POST http://example.com/a'; without a method it is GET",
    },
    { name: 'H', value: 'FIELD', group: 'Request', doc: "a field, such as 'Accept: text/html'; repeatable", isRepeatable: true },
    { name: 'json', group: 'Output', doc: 'for programs', isSwitch: true },
    helpFlag,
  ],
  commands: [],
  takesWords: false,
  examples: [
    ['--config eproxy.yaml', 'list all routes'],
    ["--config eproxy.yaml --explain 'GET http://shop.example.com/cart?x=1' -H 'X-Beta: 1'", 'which of them takes this request'],
  ],
}

/** Throws ProxyError ERR_EPROXY_OPTION. */
export async function readRoutesCommand(args: readonly string[], columns: number, environment: Environment = {}): Promise<RoutesCommand> {
  const { values } = readArguments(table, args)
  if (values.has('help')) return { kind: 'print', text: renderHelp(table, columns) }
  const path = values.get('config')?.[0] ?? environment[variableOf('config')] ?? ''
  if (path === '') throw misuse('--config is missing: routes stand in a file')
  const asked = values.get('explain')?.[0]
  const fields = values.get('H') ?? []
  if (asked === undefined && fields.length > 0) throw misuse('-H is a field of the request of --explain')
  return { kind: 'routes', path, request: asked === undefined ? undefined : makeRequest(asked, fields), isJson: values.has('json') }
}

/** The words so far begin with the name of the command; the last one is to be completed. */
export async function completeRoutes(words: readonly string[]): Promise<string> {
  return `${(await (await buildParser(table)).getCompletion([...words])).join('\n')}\n`
}

/** The path stays as it was typed: what becomes of it is the question. */
function makeRequest(asked: string, fields: readonly string[]): string {
  const [, method = 'GET', authority, target = ''] = /^(?:([^ ]+) +)?(?:https?:\/\/([^/?#]*))?(\*|(?:[/?].*)?)$/i.exec(asked.trim()) ?? []
  for (const field of fields) {
    if (!/^[^\s:]+:[^\r\n]*$/.test(field)) throw misuse(`-H ${quoteArgument(field)} is not a field; write 'Name: value'`)
  }
  const hasHost = fields.some((field) => /^host:/i.test(field))
  if (target === '' && authority === undefined)
    throw misuse(`--explain ${quoteArgument(asked)} is not a request; write 'GET http://example.com/path'`)
  if (authority === undefined && !hasHost)
    throw misuse("--explain needs a host: write 'GET http://example.com/path', or add -H 'Host: example.com'")
  const lines = authority === undefined || hasHost ? fields : [`Host: ${authority}`, ...fields]
  const form =
    hasHost && authority !== undefined ? `http://${authority}${target}` : target === '' || target.startsWith('?') ? `/${target}` : target
  return [`${method} ${form} HTTP/1.1`, ...lines, '', ''].join('\r\n')
}
