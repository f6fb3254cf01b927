/**
 * Lines of the access log by a template of the operator: `{time} {client} "{method} {target}" {status}`. A name in braces is a member of the
 * exchange's summary or one of a few more; anything else in braces, as in JSON, is text. The template is compiled once, into text and readers in turns.
 */
import { ProxyError } from '../core/errors.ts'
import { suggest } from '../core/suggest.ts'
import type { ExchangeSummary } from './exchange-summary.ts'
import { pieceOf } from './line-bytes.ts'
import { addressWithoutPort, type FormatLine, type LineContext } from './line-format.ts'

/**
 * How texts that came from outside are written: 'plain' escapes what would end a word or a quoted text, and writes - for what is empty; 'json'
 * is for the inside of JSON strings.
 */
export type TemplateEscape = 'plain' | 'json'
export const templateEscapes = ['plain', 'json'] as const satisfies readonly TemplateEscape[]

type ReadText = (summary: ExchangeSummary, context: LineContext) => string
type ReadNumber = (summary: ExchangeSummary, context: LineContext) => number

interface TextPlaceholder {
  readonly doc: string
  /** 'word' has no blanks in plain lines, 'text' may have them; 'own' is made here and needs no escape. */
  readonly kind: 'word' | 'text' | 'own'
  readonly read: ReadText
}

interface NumberPlaceholder {
  readonly doc: string
  readonly kind: 'number' | 'ms' | 'time' | 'commonTime'
  readonly read: ReadNumber
}

type Placeholder = TextPlaceholder | NumberPlaceholder

// oxfmt-ignore
export const placeholderTable = {
  time: { kind: 'time', doc: 'first byte of the request, ISO 8601 with milliseconds, UTC', read: (summary) => summary.startedAt },
  commonTime: { kind: 'commonTime', doc: 'the same as `10/Oct/2000:13:55:36 +0000`', read: (summary) => summary.startedAt },
  startedAt: { kind: 'number', doc: 'the same in milliseconds since 1970', read: (summary) => Math.floor(summary.startedAt) },
  id: { kind: 'word', doc: 'request id', read: (summary) => summary.id },
  client: { kind: 'word', doc: 'address of the client with its port', read: (summary) => summary.client },
  clientAddress: { kind: 'word', doc: 'the same without the port', read: (summary) => addressWithoutPort(summary.client) },
  method: { kind: 'word', doc: 'method', read: (summary) => summary.method },
  target: { kind: 'word', doc: 'request target as received', read: (summary, { redaction }) => redaction.apply(summary.target) },
  version: { kind: 'word', doc: '1.1 or 1.0', read: (summary) => summary.version },
  status: { kind: 'number', doc: 'status of the response, 0 for none', read: (summary) => summary.status },
  bytesIn: { kind: 'number', doc: 'bytes from the client, heads included', read: (summary) => summary.bytesIn },
  bytesOut: { kind: 'number', doc: 'bytes to the client, heads included', read: (summary) => summary.bytesOut },
  upstream: { kind: 'word', doc: 'server', read: (summary) => summary.upstream },
  upstreamConnection: { kind: 'number', doc: 'number of the connection to it, 0 for none', read: (summary) => summary.upstreamConnection },
  reused: { kind: 'own', doc: 'the connection had served before: true or false', read: (summary) => String(summary.reused) },
  retries: { kind: 'number', doc: 'attempts after the first', read: (summary) => summary.retries },
  headMs: { kind: 'ms', doc: 'first byte to the end of the request head; -1 where a phase was not reached', read: (summary) => summary.headMs },
  upstreamMs: { kind: 'ms', doc: 'then until there was a connection to a server', read: (summary) => summary.upstreamMs },
  responseMs: { kind: 'ms', doc: 'then until its response began', read: (summary) => summary.responseMs },
  totalMs: { kind: 'ms', doc: 'first byte of the request to the end of the exchange', read: (summary) => summary.totalMs },
  termination: { kind: 'own', doc: 'two letters, -- for a normal end', read: (summary) => summary.termination },
  error: { kind: 'word', doc: 'why it ended other than well', read: (summary) => summary.error },
  rule: { kind: 'word', doc: 'the rule that was broken', read: (summary) => summary.rule },
  tunnel: { kind: 'own', doc: 'the connection was switched to another protocol: true or false', read: (summary) => String(summary.tunnel) },
  route: { kind: 'word', doc: 'name of the route', read: (summary) => summary.route },
  listener: { kind: 'word', doc: 'address of the listener, as it is configured', read: (summary) => summary.listener },
  worker: { kind: 'number', doc: 'number of the worker, 0 where there is one process', read: (_, { worker }) => worker },
  referer: { kind: 'text', doc: 'field Referer of the request', read: (summary, { redaction }) => redaction.apply(summary.referer ?? '') },
  userAgent: { kind: 'text', doc: 'field User-Agent of the request', read: (summary) => summary.userAgent ?? '' },
} as const satisfies Record<string, Placeholder>

type PlaceholderName = keyof typeof placeholderTable
const names = Object.keys(placeholderTable) as readonly PlaceholderName[]

/** Throws ProxyError ERR_EPROXY_OPTION for a name that is not known, and for text that would not stay on a line. */
export function compileTemplate(template: string, escape: TemplateEscape): FormatLine {
  if (template === '') throw templateError('is empty; write for example {time} {client} "{method} {target}" {status}')
  if (/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/.test(template)) throw templateError('holds a control character; a line is one line')
  // Text, name, text, name, ..., text.
  const pieces = template.split(/\{([A-Za-z][A-Za-z0-9_-]*)\}/)
  const used = pieces.filter((_, index) => index % 2 === 1)
  if (used.length === 0) throw templateError(`names nothing of an exchange; there are ${names.join(', ')}`)
  const writers = used.map((name) => makeWriter(name, escape))
  const texts = pieces.filter((_, index) => index % 2 === 0)
  texts[texts.length - 1] += '\n'
  const [first, ...rest] = texts.map(pieceOf)
  return (line, summary, context) => {
    line.put(first!)
    for (let index = 0; index < writers.length; index++) {
      writers[index]!(line, summary, context)
      line.put(rest[index]!)
    }
  }
}

function makeWriter(name: string, escape: TemplateEscape): FormatLine {
  if (!isPlaceholder(name)) {
    const near = suggest(name, names)
    throw templateError(
      near === undefined ? `does not know {${name}}; there are ${names.join(', ')}` : `does not know {${name}}; did you mean {${near}}?`,
    )
  }
  const placeholder: Placeholder = placeholderTable[name]
  switch (placeholder.kind) {
    case 'number':
      return (line, summary, context) => line.putNumber(placeholder.read(summary, context))
    case 'ms':
      return (line, summary, context) => line.putMs(placeholder.read(summary, context))
    case 'time':
      return (line, summary, context) => line.putTime(placeholder.read(summary, context))
    case 'commonTime':
      return (line, summary, context) => line.putCommonTime(placeholder.read(summary, context))
    case 'own':
      return (line, summary, context) => line.putAscii(placeholder.read(summary, context))
    case 'word':
    case 'text': {
      const { kind, read } = placeholder
      if (escape === 'json') return (line, summary, context) => line.putJson(read(summary, context))
      if (kind === 'text') return (line, summary, context) => line.putQuoted(read(summary, context) || '-')
      return (line, summary, context) => line.putWord(read(summary, context) || '-')
    }
  }
}

function isPlaceholder(name: string): name is PlaceholderName {
  return Object.hasOwn(placeholderTable, name)
}

function templateError(what: string): ProxyError {
  return new ProxyError('ERR_EPROXY_OPTION', `the template of the access log ${what}`)
}
