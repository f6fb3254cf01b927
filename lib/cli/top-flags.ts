/** The arguments of `eproxy-raw top`: which proxy is looked at. */
import { usualAdminAddress } from '../admin/admin-address.ts'
import { parseUpstreamAddress, type Address } from '../core/options.ts'
import { buildParser, helpFlag, inWordsOf, misuse, readArguments, type CommandTable } from './command-line.ts'
import { renderHelp } from './help-text.ts'

export interface TopSettings {
  /** As it was given. */
  readonly address: string
  readonly place: Address
  /** One look, as plain text. */
  readonly isOnce: boolean
}

export type TopCommand = { readonly kind: 'top'; readonly settings: TopSettings } | { readonly kind: 'print'; readonly text: string }

const table: CommandTable = {
  name: 'eproxy-raw top',
  usage: [
    '[flags]',
    '',
    'Shows how a running proxy does, each second: rate, latency, servers, how exchanges end, workers. The proxy needs --admin.',
    'Keys: w shows the next worker or the sum of all, q ends. Where standard output is no terminal it prints once.',
  ].join('\n'),
  flags: [
    {
      name: 'admin',
      value: 'ADDRESS',
      group: 'Proxy',
      doc: 'address of its admin listener: host:port or unix:path',
      defaultText: usualAdminAddress,
    },
    { name: 'once', group: 'Output', doc: 'print the present figures and end', isSwitch: true },
    helpFlag,
  ],
  commands: [],
  takesWords: false,
  examples: [
    ['', 'the proxy on this machine, at the usual address'],
    ['--admin unix:/run/eproxy-admin.sock --once', 'one look, for a script'],
  ],
}

/** Throws ProxyError ERR_EPROXY_OPTION. */
export async function readTopCommand(args: readonly string[], columns: number): Promise<TopCommand> {
  const { values } = readArguments(table, args)
  if (values.has('help')) return { kind: 'print', text: renderHelp(table, columns) }
  const address = values.get('admin')?.[0] ?? usualAdminAddress
  if (address === '') throw misuse('--admin needs an address')
  return {
    kind: 'top',
    settings: { address, place: inWordsOf('admin', () => parseUpstreamAddress(address)), isOnce: values.has('once') },
  }
}

/** The words so far begin with the name of the command; the last one is to be completed. */
export async function completeTop(words: readonly string[]): Promise<string> {
  return `${(await (await buildParser(table)).getCompletion([...words])).join('\n')}\n`
}
