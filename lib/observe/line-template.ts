/**
 * Lines of the access log by a template of the operator: `{time} {client} "{method} {target}" {status}`. A name in braces is a member of the
 * exchange's summary or one of a few more; anything else in braces, as in JSON, is text. The template is compiled once, into text and readers in turns.
 */
import { ProxyError } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'
import type { ExchangeSummary } from './exchange-summary.ts'
import type { FormatLine, LineContext } from './line-format.ts'
import { addressWithoutPort, escapeJson, escapeQuoted, escapeWord, formatCommonTime, formatMs, formatTime } from './line-text.ts'

/**
 * How texts that came from outside are written: 'plain' escapes what would end a word or a quoted text, and writes - for what is empty; 'json'
 * is for the inside of JSON strings.
 */
export type TemplateEscape = 'plain' | 'json'
export const templateEscapes = ['plain', 'json'] as const satisfies readonly TemplateEscape[]

type Read = (summary: ExchangeSummary, context: LineContext) => string

interface Placeholder {
  readonly doc: string
  /** 'word' has no blanks in plain lines, 'text' may have them; 'own' is made here and needs no escape. */
  readonly kind: 'word' | 'text' | 'own'
  readonly read: Read
}

// oxfmt-ignore
export const placeholderTable = {
  time: { kind: 'own', doc: 'first byte of the request, ISO 8601 with milliseconds, UTC', read: (summary) => formatTime(summary.startedAt) },
  commonTime: { kind: 'own', doc: 'the same as `10/Oct/2000:13:55:36 +0000`', read: (summary) => formatCommonTime(summary.startedAt) },
  startedAt: { kind: 'own', doc: 'the same in milliseconds since 1970', read: (summary) => String(Math.floor(summary.startedAt)) },
  id: { kind: 'word', doc: 'request id', read: (summary) => summary.id },
  client: { kind: 'word', doc: 'address of the client with its port', read: (summary) => summary.client },
  clientAddress: { kind: 'word', doc: 'the same without the port', read: (summary) => addressWithoutPort(summary.client) },
  method: { kind: 'word', doc: 'method', read: (summary) => summary.method },
  target: { kind: 'word', doc: 'request target as received', read: (summary, { redaction }) => redaction.apply(summary.target) },
  version: { kind: 'word', doc: '1.1 or 1.0', read: (summary) => summary.version },
  status: { kind: 'own', doc: 'status of the response, 0 for none', read: (summary) => String(summary.status) },
  bytesIn: { kind: 'own', doc: 'bytes from the client, heads included', read: (summary) => String(summary.bytesIn) },
  bytesOut: { kind: 'own', doc: 'bytes to the client, heads included', read: (summary) => String(summary.bytesOut) },
  upstream: { kind: 'word', doc: 'server', read: (summary) => summary.upstream },
  upstreamConnection: { kind: 'own', doc: 'number of the connection to it, 0 for none', read: (summary) => String(summary.upstreamConnection) },
  reused: { kind: 'own', doc: 'the connection had served before: true or false', read: (summary) => String(summary.reused) },
  retries: { kind: 'own', doc: 'attempts after the first', read: (summary) => String(summary.retries) },
  headMs: { kind: 'own', doc: 'first byte to the end of the request head; -1 where a phase was not reached', read: (summary) => formatMs(summary.headMs) },
  upstreamMs: { kind: 'own', doc: 'then until there was a connection to a server', read: (summary) => formatMs(summary.upstreamMs) },
  responseMs: { kind: 'own', doc: 'then until its response began', read: (summary) => formatMs(summary.responseMs) },
  totalMs: { kind: 'own', doc: 'first byte of the request to the end of the exchange', read: (summary) => formatMs(summary.totalMs) },
  termination: { kind: 'own', doc: 'two letters, -- for a normal end', read: (summary) => summary.termination },
  error: { kind: 'word', doc: 'why it ended other than well', read: (summary) => summary.error },
  rule: { kind: 'word', doc: 'the rule that was broken', read: (summary) => summary.rule },
  tunnel: { kind: 'own', doc: 'the connection was switched to another protocol: true or false', read: (summary) => String(summary.tunnel) },
  route: { kind: 'word', doc: 'name of the route', read: (summary) => summary.route },
  listener: { kind: 'word', doc: 'address of the listener, as it is configured', read: (summary) => summary.listener },
  worker: { kind: 'own', doc: 'number of the worker, 0 where there is one process', read: (_, { worker }) => String(worker) },
  referer: { kind: 'text', doc: 'field Referer of the request', read: (summary, { redaction }) => redaction.apply(summary.referer ?? '') },
  userAgent: { kind: 'text', doc: 'field User-Agent of the request', read: (summary) => summary.userAgent ?? '' },
} as const satisfies Record<string, Placeholder>

type PlaceholderName = keyof typeof placeholderTable
const names = Object.keys(placeholderTable) as readonly PlaceholderName[]
/** Not in a summary unless it is asked for. */
const fieldNames: ReadonlySet<string> = new Set<PlaceholderName>(['referer', 'userAgent'])

export interface CompiledTemplate {
  readonly format: FormatLine
  readonly needsRequestFields: boolean
}

/** Throws ProxyError ERR_EPROXY_OPTION for a name that is not known, and for text that would not stay on a line. */
export function compileTemplate(template: string, escape: TemplateEscape): CompiledTemplate {
  if (template === '') throw templateError('is empty; write for example {time} {client} "{method} {target}" {status}')
  if (/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/.test(template)) throw templateError('holds a control character; a line is one line')
  // Text, name, text, name, ..., text.
  const pieces = template.split(/\{([A-Za-z][A-Za-z0-9_-]*)\}/)
  const used = pieces.filter((_, index) => index % 2 === 1)
  if (used.length === 0) throw templateError(`names nothing of an exchange; there are ${names.join(', ')}`)
  const readers = used.map((name) => makeReader(name, escape))
  // Beyond ASCII a line is latin-1 for the writer, so that this becomes UTF-8.
  const texts = pieces.filter((_, index) => index % 2 === 0).map((text) => Buffer.from(text, 'utf8').toString('latin1'))
  texts[texts.length - 1] += '\n'
  const first = texts[0]!
  const rest = texts.slice(1)
  return {
    needsRequestFields: used.some((name) => fieldNames.has(name)),
    format: (summary, context) => {
      let line = first
      for (let index = 0; index < readers.length; index++) line += readers[index]!(summary, context) + rest[index]!
      return line
    },
  }
}

function makeReader(name: string, escape: TemplateEscape): Read {
  if (!isPlaceholder(name)) {
    const near = suggest(name, names)
    throw templateError(
      near === undefined ? `does not know {${name}}; there are ${names.join(', ')}` : `does not know {${name}}; did you mean {${near}}?`,
    )
  }
  const { kind, read }: Placeholder = placeholderTable[name]
  if (kind === 'own') return read
  if (escape === 'json') return (summary, context) => escapeJson(read(summary, context))
  const escapePlain = kind === 'word' ? escapeWord : escapeQuoted
  return (summary, context) => escapePlain(read(summary, context)) || '-'
}

function isPlaceholder(name: string): name is PlaceholderName {
  return Object.hasOwn(placeholderTable, name)
}

function templateError(what: string): ProxyError {
  return new ProxyError('ERR_EPROXY_OPTION', `the template of the access log ${what}`)
}
