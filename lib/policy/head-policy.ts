/**
 * What changes in the heads of one route on one listener, beyond what HTTP asks for: put together once from all the options that have a say,
 * so that a request pays for no more than what is left of them. Where two of them name the same field, the edits of the route win.
 */
import { DROPPED, FieldEdits, findAuthorityFault, UNTOUCHED, type RequestHead } from '../../native-free-parser/index.ts'
import { ProxyError } from '../core/errors.ts'
import type { ForwardedMode } from '../core/options.ts'
import type { FieldEdits as FieldEditOptions, ListenerOptions, RouteOptions, SecurityFieldOptions } from '../core/service-options.ts'
import { forwardedBits, forwardedLines, toFlat, type ClientFacts } from './client.ts'
import { addedLines, checkFieldEdits, droppedNames, editedNames, findEditFault, findValueFault, namedForwardedBits } from './field-edits.ts'
import { fillTemplate, parseTemplate, type FieldTemplate, type FieldVariables } from './field-template.ts'
import { hasTraceparent, makeTraceparent, RandomHex, readRequestId } from './request-marks.ts'
import { findSecurityFault, securityDefaults } from './security-fields.ts'

export interface HeadOptions {
  readonly forwarded: ForwardedMode
  readonly listener: ListenerOptions | undefined
  readonly route: Pick<RouteOptions, 'name' | 'requestHeaders' | 'responseHeaders' | 'securityFields'> | undefined
  /** Name of the group of servers, '' for none. */
  readonly group: string
  /** The Host that is sent, 'preserve' for that of the request. */
  readonly host: string
}

/** What becomes of the head of one request, and of the response to it. */
export interface HeadChanges {
  host: string
  drops: number
  edits: FieldEdits | null
  added: string
  responseEdits: FieldEdits | null
  responseAdded: string
}

/** Reused for every request: it is filled and read within one call. */
const changes: HeadChanges = { host: '', drops: 0, edits: null, added: '', responseEdits: null, responseAdded: '' }
const facts: FieldVariables = { client_ip: '', client_port: '', host: '', request_id: '', route: '', upstream: '', scheme: '' }
const random = new RandomHex()
const traceFields = ['traceparent', 'tracestate']

/**
 * What was last written of a client. It is kept with the client's connection, whose next request mostly is for the same host: the text is there
 * then, in one piece.
 */
export class ClientMemo {
  writer: HeadPolicy | null = null
  host = ''
  lines = ''
}

/** Null when nothing is changed: that is all that a request on such a route pays. */
export function makeHeadPolicy(options: HeadOptions): HeadPolicy | null {
  const { forwarded, listener, route, host } = options
  const isPlain =
    forwarded === 'off' &&
    host === 'preserve' &&
    listener?.requestId === undefined &&
    listener?.traceparent !== true &&
    (listener?.serverField ?? 'pass') === 'pass' &&
    securityOf(listener, route) === undefined &&
    [route?.requestHeaders, route?.responseHeaders].every((edits) => edits === undefined || editedNames(edits).size === 0)
  return isPlain ? null : new HeadPolicy(options)
}

/** Throws ProxyError ERR_EPROXY_OPTION for what `makeHeadPolicy` could not work with. */
export function checkListenerFields({ address, requestId, serverField = 'pass', securityFields }: ListenerOptions): void {
  const fault =
    (requestId === undefined ? '' : findEditFault('request', 'set', requestId.name, '')) ||
    (serverField === '' ? "serverField: write 'remove' for no Server at all" : findValueFault(serverField, 'serverField')) ||
    (securityFields === undefined ? '' : findSecurityFault(securityFields))
  if (fault !== '') throw new ProxyError('ERR_EPROXY_OPTION', `listener ${address}: ${fault}`)
}

/** The same for a route. */
export function checkRouteFields({ name, requestHeaders, responseHeaders, securityFields }: RouteOptions): void {
  checkFieldEdits('request', requestHeaders, `route ${name}: requestHeaders`)
  checkFieldEdits('response', responseHeaders, `route ${name}: responseHeaders`)
  // It takes the place of {route}; what stands in braces in it is no variable.
  const nameFault = findValueFault(name.replace(/[{}]/g, ''), 'its name')
  const fault = nameFault || (securityFields === undefined || securityFields === false ? '' : findSecurityFault(securityFields))
  if (fault !== '') throw new ProxyError('ERR_EPROXY_OPTION', `route ${name}: ${fault}`)
}

/** The same for the Host that a group of servers gets. */
export function checkGroupHost(group: string, host: string): void {
  if (host !== 'preserve' && findAuthorityFault(host, 0, host.length) >= 0)
    throw new ProxyError(
      'ERR_EPROXY_OPTION',
      `group ${group}: host is 'preserve' or a name with or without port, not ${JSON.stringify(host)}`,
    )
}

export class HeadPolicy {
  readonly #forwarded: ForwardedMode
  /** Bits of what tells of the client and is written by the route. */
  readonly #others: number
  readonly #host: string
  readonly #route: string
  readonly #group: string
  /** In lower case, '' when requests get no id. */
  readonly #idName: string
  readonly #acceptsId: 'trusted' | 'always' | 'never'
  readonly #sendsId: boolean
  readonly #returnsId: boolean
  readonly #traces: boolean
  readonly #edits: FieldEdits | null
  /** The same, and a trace that cannot be followed is dropped. */
  readonly #editsWithoutTrace: FieldEdits
  readonly #added: FieldTemplate
  /** The same where no variable stands in it. */
  readonly #addedText: string
  /** The line of the id up to its value, '' for none. */
  readonly #idStart: string
  readonly #responseEdits: FieldEdits | null
  /** The same for requests that came over TLS. */
  readonly #secureEdits: FieldEdits | null
  /** Its end is the line of the id up to its value, where that is told. */
  readonly #responseAdded: FieldTemplate
  /** Somewhere a variable stands. */
  readonly #tellsFacts: boolean
  /** The id of an exchange is told to others, or may be somebody else's. */
  readonly usesId: boolean

  constructor({ forwarded, listener, route, group, host }: HeadOptions) {
    const requestEdits = route?.requestHeaders ?? noEdits
    const responseEdits = route?.responseHeaders ?? noEdits
    const requestNames = editedNames(requestEdits)
    const responseNames = editedNames(responseEdits)
    this.#forwarded = forwarded
    this.#others = namedForwardedBits(requestNames)
    this.#host = host === 'preserve' ? '' : host
    this.#route = route?.name ?? ''
    this.#group = group

    const { requestId, traceparent = false, serverField = 'pass' } = listener ?? {}
    this.#idName = requestId?.name.toLowerCase() ?? ''
    this.#acceptsId = requestId?.accept ?? 'never'
    this.#sendsId = this.#idName !== '' && !requestNames.has(this.#idName)
    this.#returnsId = this.#idName !== '' && !responseNames.has(this.#idName)
    this.#traces = traceparent && !requestNames.has('traceparent')

    const dropped = [...droppedNames(requestEdits), ...(this.#sendsId ? [this.#idName] : [])]
    this.#edits = dropped.length === 0 ? null : new FieldEdits(dropped, [], true)
    this.#editsWithoutTrace = new FieldEdits([...dropped, ...traceFields], [], true)
    this.#added = parseTemplate(addedLines(requestEdits))
    this.#addedText = this.#added.variables.length === 0 ? this.#added.texts[0]! : ''
    const idStart = requestId === undefined ? '' : `${requestId.name}: `
    this.#idStart = this.#sendsId ? idStart : ''

    const writesServer = serverField !== 'pass' && !responseNames.has('server')
    const responseDropped = [
      ...droppedNames(responseEdits),
      ...(this.#returnsId ? [this.#idName] : []),
      ...(writesServer ? ['server'] : []),
    ]
    const security = securityOf(listener, route)
    const makeEdits = (isSecure: boolean): FieldEdits | null => {
      const defaults = security === undefined ? [] : securityDefaults(security, isSecure)
      const own = defaults.filter(({ name }) => !responseNames.has(name.toLowerCase()))
      return responseDropped.length + own.length === 0 ? null : new FieldEdits(responseDropped, own)
    }
    this.#responseEdits = makeEdits(false)
    this.#secureEdits = makeEdits(true)
    const server = writesServer && serverField !== 'remove' ? `Server: ${serverField}\r\n` : ''
    this.#responseAdded = parseTemplate(server + addedLines(responseEdits) + (this.#returnsId ? idStart : ''))

    const variables = [...this.#added.variables, ...this.#responseAdded.variables]
    this.#tellsFacts = variables.length > 0
    this.usesId = this.#idName !== '' || variables.includes('request_id')
  }

  /** The id that this request has or gets, '' where the exchange's own will do. */
  requestIdOf(head: RequestHead, { isTrusted }: ClientFacts): string {
    if (this.#idName === '') return ''
    if (this.#acceptsId === 'always' || (isTrusted && this.#acceptsId === 'trusted')) {
      const id = readRequestId(head, this.#idName)
      if (id !== '') return id
    }
    return random.take(32)
  }

  /** `id`: of the exchange, where `usesId`. `memo` is of the client's connection. The result is valid until the next call. */
  changesFor(head: RequestHead, client: ClientFacts, id: string, memo: ClientMemo): HeadChanges {
    if (this.#tellsFacts) this.#fillFacts(client, id)
    let added = this.#linesFor(client, memo)
    if (this.#added.variables.length > 0) added = fillTemplate(this.#added, facts) + added
    let edits = this.#edits
    if (this.#sendsId) added += id + '\r\n'
    if (this.#traces && !hasTraceparent(head)) {
      // W3C Trace Context section 3.3.1: without a valid traceparent a tracestate means nothing.
      edits = this.#editsWithoutTrace
      added += 'traceparent: ' + makeTraceparent(random) + '\r\n'
    }
    changes.drops = this.#forwarded === 'off' ? 0 : forwardedBits
    changes.host = this.#host
    changes.edits = edits
    changes.added = added
    const { texts, variables } = this.#responseAdded
    const responseAdded = variables.length === 0 ? texts[0]! : fillTemplate(this.#responseAdded, facts)
    changes.responseAdded = this.#returnsId ? responseAdded + id + '\r\n' : responseAdded
    changes.responseEdits = client.scheme === 'https' ? this.#secureEdits : this.#responseEdits
    return changes
  }

  /** Lines that are the same as long as the client asks for the same host; the last one is that of the id, up to its value. */
  #linesFor(client: ClientFacts, memo: ClientMemo): string {
    if (memo.writer === this && memo.host === client.host && !client.isTrusted) return memo.lines
    const forwarded = this.#forwarded === 'off' ? '' : forwardedLines(client, this.#forwarded, this.#others)
    const lines = this.#addedText + forwarded + this.#idStart
    // Behind a trusted proxy are many clients.
    if (client.isTrusted) return lines
    memo.writer = this
    memo.host = toFlat(client.host)
    memo.lines = toFlat(lines)
    return memo.lines
  }

  #fillFacts({ address, remote, host, scheme }: ClientFacts, id: string): void {
    facts.client_ip = address
    facts.client_port = remote.substring(remote.lastIndexOf(':') + 1)
    facts.host = host
    facts.request_id = id
    facts.route = this.#route
    facts.upstream = this.#group
    facts.scheme = scheme
  }
}

const noEdits: FieldEditOptions = Object.freeze({ remove: [], set: {}, add: {} })

function securityOf(listener: ListenerOptions | undefined, route: HeadOptions['route']): SecurityFieldOptions | undefined {
  if (route?.securityFields === false) return undefined
  return route?.securityFields ?? listener?.securityFields
}

/** The head of a response of our own, changed as those of servers are: line by line, since these are few. */
export function editLocalHead(text: string, edits: FieldEdits | null, added: string): string {
  const end = text.indexOf('\r\n\r\n')
  const [startLine, ...lines] = text.slice(0, end).split('\r\n')
  let seen = 0
  let result = startLine! + '\r\n'
  for (const line of lines) {
    const verdict = edits === null ? UNTOUCHED : edits.find(line, 0, line.indexOf(':'))
    if (verdict === DROPPED) continue
    if (verdict !== UNTOUCHED) seen |= verdict
    result += line + '\r\n'
  }
  return result + (edits === null ? '' : edits.missing(seen)) + added + text.slice(end + 2)
}
