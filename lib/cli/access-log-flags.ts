/** The flags of the access log, and the settings that they make. */
import type { AccessLogSettings } from '../core/service-options.ts'
import { accessLogDefaults, checkAccessLog } from '../observe/access-log.ts'
import { templateEscapes } from '../observe/line-template.ts'
import { inWordsOf, misuse, quoteArgument, readChoice, type Flag } from './command-line.ts'

const formats = ['json', 'combined', 'template'] as const satisfies readonly AccessLogSettings['format'][]

export const accessLogFlags: readonly Flag[] = [
  {
    name: 'access-log',
    value: 'WHERE',
    group: 'Logs',
    doc: 'a line for each exchange to this file, - for standard output, unix:path for a socket; SIGUSR2 reopens it',
    defaultText: 'off',
  },
  { name: 'access-log-format', value: 'FORMAT', group: 'Logs', doc: `how such a line looks: ${formats.join(', ')}`, defaultText: 'json' },
  {
    name: 'access-log-template',
    value: 'TEXT',
    group: 'Logs',
    doc: 'the line, with names in braces: \'{time} {client} "{method} {target}" {status}\'',
    defaultText: 'none',
  },
  {
    name: 'access-log-escape',
    value: 'HOW',
    group: 'Logs',
    doc: `how a template's texts are written: ${templateEscapes.join(' or ')}, for the inside of JSON strings`,
    defaultText: 'plain',
  },
  {
    name: 'access-log-sample',
    value: 'SHARE',
    group: 'Logs',
    doc: 'share of the exchanges that ended well to log, such as 0.1 or 10%; the others are always logged',
    defaultText: '1',
  },
  {
    name: 'access-log-redact-query',
    value: 'NAME',
    group: 'Logs',
    doc: 'query parameter whose value is not logged, * for all; repeatable',
    defaultText: 'none',
    isRepeatable: true,
  },
]

/** Undefined for no access log. `shown` is what each value was given as. Throws ProxyError ERR_EPROXY_OPTION. */
export function readAccessLog(
  values: ReadonlyMap<string, readonly string[]>,
  shown: (name: string) => string,
): AccessLogSettings | undefined {
  const text = (name: string): string | undefined => values.get(name)?.[0]
  const choice = <T extends string>(name: string, choices: readonly T[]): T | undefined =>
    readChoice(name, text(name), choices, shown(name))
  const destination = text('access-log')
  if (destination === undefined) {
    const lonely = accessLogFlags.find(({ name }) => values.has(name))
    // A file may say where to; with it all is read once more.
    if (lonely !== undefined && !values.has('config'))
      throw misuse(`${shown(lonely.name)} says how to log, and nothing says where to: add --access-log`)
    return undefined
  }
  const template = text('access-log-template')
  const format = choice('access-log-format', formats) ?? (template === undefined ? 'json' : 'template')
  if (format === 'template' && template === undefined) throw misuse(`${shown('access-log-format')} template needs --access-log-template`)
  if (format !== 'template' && template !== undefined)
    throw misuse(`${shown('access-log-template')} and ${shown('access-log-format')} ${format} exclude each other`)
  const settings: AccessLogSettings = {
    ...accessLogDefaults,
    destination,
    format,
    template: template ?? '',
    escape: choice('access-log-escape', templateEscapes) ?? 'plain',
    sample: readShare(text('access-log-sample'), shown('access-log-sample')),
    redactQuery: values.get('access-log-redact-query') ?? [],
  }
  const name = template === undefined ? 'access-log' : 'access-log-template'
  inWordsOf(name, () => checkAccessLog(settings), shown(name))
  return settings
}

function readShare(value = '1', shown: string): number {
  const [, digits, percent] = /^([0-9]+(?:\.[0-9]+)?)(%?)$/.exec(value) ?? []
  const share = Number(digits) / (percent === '%' ? 100 : 1)
  if (share <= 1) return share
  throw misuse(`${shown} must be from 0 to 1, or from 0% to 100%, not ${quoteArgument(value)}`)
}
